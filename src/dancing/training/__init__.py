"""Shared training code: loops, epoch runner, losses, layers, checkpoints. Knows no system and no dataset.

A system plugs in with a task (`tasks.VaeTask`, `tasks.GanTask`: its batches, models and losses). The task goes into a
loop (`vae_loop.train_vae`, `gan_loop.train_gan`); the loop writes checkpoints, best.pt and last.pt. A checkpoint names
its model, and the system's `registry.Registry` builds that model again.
"""

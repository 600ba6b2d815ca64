"""The models of this system by name: `vae.model`, and "flow", the prior."""

from dancing.music_to_pose.flow_prior import FlowPrior, FlowPriorConfig
from dancing.music_to_pose.lstm_vae import LstmVae, LstmVaeConfig
from dancing.music_to_pose.motion_vae import MotionVae, MotionVaeConfig
from dancing.training.registry import Registry

MODELS = Registry(
    {
        "lstm": (LstmVaeConfig, LstmVae),
        "motion": (MotionVaeConfig, MotionVae),
        "flow": (FlowPriorConfig, FlowPrior),
    }
)

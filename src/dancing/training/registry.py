"""Models by name. A checkpoint holds a model's name and config; a registry rebuilds the model from them."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from torch import nn

#: Largest size in a config from outside. Even the buffers that depend on two of them fit into the memory.
MAX_SIZE = 2**13


@dataclass(frozen=True)
class Registry:
    """The models of one system. Each system has one in its `models.py`; a new model is one line there.

    Attributes:
        models: name -> config class, a frozen dataclass, and the factories that build a network from a config: one for
            a VAE or a flow, two for a GAN (generator, discriminator). No two models share a config class.
    """

    models: Mapping[str, tuple[type, *tuple[Callable[[Any], nn.Module], ...]]]

    # A config's type depends on the model's name, which is known only at run time: hence Any.
    def config(self, name: str, **values: Any) -> Any:
        """Return a model's config.

        Args:
            name: of the model.
            **values: of the config's fields; those that it has no field for are ignored.

        Raises:
            KeyError: there is no such model.
            TypeError: a field has no value.
        """
        kind = self.models[name][0]
        wanted = {field.name for field in fields(kind)}
        return kind(**{key: value for key, value in values.items() if key in wanted})

    def build(self, config: Any) -> tuple[nn.Module, ...]:
        """Return the networks of a config, with initial weights from torch's global random state."""
        _, *classes = self.models[self._name(config)]
        return tuple(model(config) for model in classes)

    def to_dict(self, config: Any) -> dict[str, Any]:
        """Return a config as plain values, with the model's name under "model", for a checkpoint."""
        return {"model": self._name(config), **asdict(config)}

    def from_dict(self, plain: Mapping[str, Any]) -> Any:
        """Return the config that `to_dict` was given.

        Raises:
            KeyError: there is no such model.
            TypeError: the fields are those of another version.
        """
        values = dict(plain)
        return self.models[values.pop("model")][0](**values)

    def restore(self, plain: Mapping[str, Any], state: Mapping[str, torch.Tensor], part: int = 0) -> Any:
        """Return a network with its weights, from a checkpoint of unknown origin.

        Args:
            plain: what `to_dict` returned.
            state: of the network.
            part: which network of the model: 0 for a VAE, a flow or a generator, 1 for a discriminator.

        Raises:
            KeyError: there is no such model.
            TypeError: the fields are those of another version.
            ValueError: the weights are those of a network of another size. No memory was taken for it.
        """
        config = self.from_dict(plain)
        for key, value in asdict(config).items():
            if isinstance(value, int) and not 0 <= value <= MAX_SIZE:
                raise ValueError(f"{key} is {value}, expected at most {MAX_SIZE}")
        if getattr(config, "layers", 0) > len(state):
            raise ValueError(f"{config.layers} layers, but {len(state)} weights")
        factory = self.models[self._name(config)][1 + part]
        with torch.device("meta"):  # shapes without memory
            expected = {name: weights.shape for name, weights in factory(config).state_dict().items()}
        for name in sorted(expected.keys() | state.keys()):
            found = state[name].shape if name in state else None
            if found != expected.get(name):
                raise ValueError(f"{name} is {_shown(found)}, expected {_shown(expected.get(name))}")
        network = factory(config)
        network.load_state_dict(state)
        return network

    def _name(self, config: Any) -> str:
        return next(name for name, (kind, *_) in self.models.items() if isinstance(config, kind))


def _shown(shape: torch.Size | None) -> str:
    return "absent" if shape is None else str(tuple(shape))

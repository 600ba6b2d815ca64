"""Models by name: a checkpoint holds a name and the values of a config, a registry builds the models again."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from torch import nn


@dataclass(frozen=True)
class Registry:
    """The models of one system. Each system has one, in its `models.py`; a new model is a line there.

    Attributes:
        models: a model's name -> its config, a frozen dataclass, and the classes that are built from one: a VAE's, or
            a GAN's generator and discriminator.
    """

    models: Mapping[str, tuple[type, *tuple[Callable[[Any], nn.Module], ...]]]

    # A config's type depends on the model's name, which is known at run time alone: hence Any.
    def config(self, name: str, **values: Any) -> Any:
        """Make a model's config of those `values` that it has fields for.

        Raises TypeError where a field has no value.
        """
        kind = self.models[name][0]
        wanted = {field.name for field in fields(kind)}
        return kind(**{key: value for key, value in values.items() if key in wanted})

    def build(self, config: Any) -> tuple[nn.Module, ...]:
        """Build the models of a config, with fresh weights drawn from torch's global random state."""
        _, *classes = self.models[self._name(config)]
        return tuple(model(config) for model in classes)

    def to_dict(self, config: Any) -> dict[str, Any]:
        """Return a config as plain values with the model's name, for a checkpoint."""
        return {"model": self._name(config), **asdict(config)}

    def from_dict(self, plain: Mapping[str, Any]) -> Any:
        """Return the config that `to_dict` was given. Raises KeyError or TypeError where it is of another version."""
        values = dict(plain)
        return self.models[values.pop("model")][0](**values)

    def _name(self, config: Any) -> str:
        return next(name for name, (kind, *_) in self.models.items() if isinstance(config, kind))

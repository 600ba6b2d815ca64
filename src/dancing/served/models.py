"""What is logged of a model: its files, its signature, an example, and the packages that it needs."""

import hashlib
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from mlflow.models import ModelSignature

_PACKAGE = Path(__file__).parents[1]  # src/dancing, which is saved with the model
#: Distributions that a model needs beside MLflow. OpenCV without windows also runs on servers without a display.
TENSORS = ("torch", "numpy", "h5py", "pydantic", "pyyaml")
SONGS = (
    *TENSORS,
    *("av", "librosa", "scipy", "matplotlib", "pillow", "tqdm", "psutil", "opencv-python-headless"),
)


@dataclass(frozen=True)
class ServedModel:
    """A model for MLflow, which loads it by running a script of this folder.

    Attributes:
        name: of the model.
        script: name of the script.
        files: path among the files of the model -> file that is copied there.
        signature: inputs and outputs.
        description: a sentence.
        packages: names of the distributions that it needs, in the versions that are installed here.
        config: values for the script.
        example: an input, as `predict` takes it. MLflow tries it when the model is logged, so it must be a small one.
        texts: path among the files of the model -> content, for files that are nowhere else.
    """

    name: str
    script: str
    files: Mapping[str, Path]
    signature: "ModelSignature"
    description: str
    packages: Sequence[str]
    config: Mapping[str, Any]
    example: Any = None
    texts: Mapping[str, str] | None = None

    @property
    def digest(self) -> str:
        """Of the files."""
        digest = hashlib.sha256()
        for name, path in sorted(self.files.items()):
            digest.update(f"{name}\n{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
        return digest.hexdigest()[:32]

    def log(self, tags: Mapping[str, str]) -> str:
        """Log the model in the active run; return its id."""
        import mlflow.pyfunc

        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch, "files")
            for name, path in self.files.items():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, folder / name)
            for name, text in (self.texts or {}).items():
                (folder / name).write_text(text, encoding="utf-8")
            info = mlflow.pyfunc.log_model(
                name=self.name,
                python_model=str(Path(__file__).with_name(f"{self.script}.py")),
                artifacts={"files": str(folder)},
                code_paths=[str(_PACKAGE)],
                signature=self.signature,
                input_example=self.example,
                pip_requirements=[f"mlflow=={version('mlflow')}", *map(_pinned, self.packages)],
                model_config=dict(self.config),
                metadata={"description": self.description},
                tags={**tags, "mlflow.note.content": self.description},
            )
        return str(info.model_id)


def _pinned(package: str) -> str:
    """A requirement in the version that is installed; the builds of torch and OpenCV may differ."""
    for installed in (package, package.removesuffix("-headless")):
        try:
            return f"{package}=={version(installed).partition('+')[0]}"
        except PackageNotFoundError:
            continue
    return package


def tensor_model(
    name: str, checkpoint: Path, inputs: tuple[int, ...], outputs: tuple[int, ...], example: "np.ndarray", does: str
) -> ServedModel:
    """A model from one tensor to another.

    Args:
        name: one of `checkpoint_model.MODULES`.
        checkpoint: its file.
        inputs: shape of the float32 input; -1 for any size.
        outputs: shape of the float32 output; -1 for any size.
        example: an input.
        does: a sentence.
    """
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    dtype = np.dtype("float32")
    signature = ModelSignature(Schema([TensorSpec(dtype, inputs)]), Schema([TensorSpec(dtype, outputs)]))
    return ServedModel(
        name, "checkpoint_model", {"best.pt": checkpoint}, signature, does, TENSORS, {"model": name}, example
    )

"""Which files of a repository a load needs."""

from __future__ import annotations

import pytest

from qwen_desktop.chat.hub import Hub, LeftOut, Listing, RemoteFile, RepositoryName
from qwen_desktop.errors import Known
from qwen_desktop.hub.wanted import INDEX, wanted

SMALL = ["config.json", "generation_config.json", "tokenizer.json", "LICENSE", "README.md"]


def listed(*paths, shards=None, refused=()):
    files = tuple(RemoteFile(path, 10) for path in paths)
    return Listing(
        Hub.HUGGING_FACE,
        "https://x",
        RepositoryName("Qwen", "Q"),
        "main",
        "c" * 40,
        files,
        frozenset(shards) if shards is not None else None,
        refused,
    )


def chosen(*paths, **more):
    return [file.path for file in wanted(listed(*paths, **more)).files]


def refusal(*paths, **more):
    with pytest.raises(Known) as caught:
        wanted(listed(*paths, **more))
    return caught.value


def test_small_files_come_first_and_one_file_of_weights_before_shards():
    shards = [f"model-0000{n}-of-00002.safetensors" for n in (1, 2)]
    found = chosen("model.safetensors", INDEX, *shards, *SMALL)
    assert found == ["LICENSE", "README.md", *SMALL[:3], "model.safetensors"]
    found = chosen(INDEX, *shards, *SMALL, shards=shards)
    assert INDEX in found
    assert found[-2:] == shards


def test_the_index_says_which_shards_there_are():
    strange = ["model.safetensors-00001-of-00001.safetensors"]
    assert (
        chosen("config.json", INDEX, *strange, "other.safetensors", shards=strange)[-1:] == strange
    )
    assert refusal("config.json", INDEX, shards=strange).code == "hub-shards-missing"
    numbered = "model-00001-of-00002.safetensors"
    assert refusal("config.json", numbered).code == "hub-shards-missing"


def test_everything_else_is_left_out_and_says_why():
    others = {
        "modeling_qwen.py": LeftOut.CODE,
        "cpp_kernels.so": LeftOut.CODE,
        "pytorch_model.bin": LeftOut.PICKLE,
        "original/consolidated.00.pth": LeftOut.PICKLE,
        "q4.gguf": LeftOut.OTHER_WEIGHTS,
        "onnx/model.onnx": LeftOut.OTHER_WEIGHTS,
        "model.fp16.safetensors": LeftOut.OTHER_WEIGHTS,
        "original/model.safetensors": LeftOut.OTHER_WEIGHTS,
        "assets/logo.png": LeftOut.NOT_NEEDED,
        "onnx/config.json": LeftOut.NOT_NEEDED,
        "training_args.json": LeftOut.NOT_NEEDED,
        ".gitattributes": LeftOut.NOT_NEEDED,
        "license.py": LeftOut.CODE,
    }
    found = wanted(listed("config.json", "model.safetensors", *others, refused=("../x",)))
    assert [file.path for file in found.files] == ["config.json", "model.safetensors"]
    assert dict(found.left_out) == {**others, "../x": LeftOut.REFUSED}
    assert found.total == 20


@pytest.mark.parametrize(
    ("paths", "code"),
    [
        (["config.json", "pytorch_model.bin"], "hub-pickle"),
        (["config.json", "q.gguf"], "hub-gguf"),
        (["adapter_config.json", "adapter_model.safetensors"], "hub-adapter"),
        (["config.json"], "hub-no-weights"),
        (["model.safetensors"], "hub-no-checkpoint"),
        ([], "hub-no-weights"),
    ],
)
def test_what_cannot_be_loaded_is_refused_before_anything_is_fetched(paths, code):
    assert refusal(*paths).code == code

"""`GistModel`, the text-to-text interface of the library."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import cast, overload

import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from dnsity.data.text.chat import Turn
from dnsity.errors import BadInputError
from dnsity.gist.spec import FrameName, GistSpec
from dnsity.inference import check as _check
from dnsity.inference import generate as _generate
from dnsity.inference.arguments import documents, require_gist, strings
from dnsity.inference.generate import GREEDY, Answer, Sampling
from dnsity.inference.gist_cache import Check, GistCache, Progress, ignore_progress
from dnsity.inference.loaded import LoadedModel
from dnsity.inference.methods import COMPRESSORS, Compressor, build_compressor, require_trained
from dnsity.model import checkpoint
from dnsity.model.base import DeviceMap, Quantization, load_base
from dnsity.model.borrowed import borrow
from dnsity.model.finite import require_finite
from dnsity.model.gist_lm import GistLM
from dnsity.model.key_values import stacked


class GistModel:
    """A model that compresses documents into gists and answers from them.

    >>> model = GistModel.from_pretrained("mini")
    >>> gist = model.compress(text)
    >>> gist.save("handbook.gist.safetensors")
    >>> model.ask(gist, "What is the passkey?").text
    """

    def __init__(self, loaded: LoadedModel) -> None:
        """Wrap a model in memory; use `from_pretrained` or `from_base` to load one."""
        self.loaded = loaded

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        *,
        device: str | torch.device | None = None,
        dtype: torch.dtype | str = torch.float32,
        device_map: DeviceMap | None = None,
        revision: str | None = None,
    ) -> GistModel:
        """Load a gist model.

        Args:
            name: `mini` (bundled), a directory written by `dnsity train`, or a hub id.
            device: Where to run (default: the CPU).
            dtype: Compute type, its name, or `auto` for the type its base is stored in.
            device_map: Placement of the base's layers, as in transformers; instead of `device`.
            revision: Branch, tag or commit of a hub repository.

        Raises:
            BadInputError: If there is no such model.
            UnsupportedModelError: If its base does not support gists.
        """
        lm, tokenizer, base = checkpoint.load(
            str(name),
            device=_device(device, device_map),
            dtype=dtype,
            device_map=device_map,
            revision=revision,
        )
        return cls(LoadedModel(lm, tokenizer, str(name), base))

    @classmethod
    def from_base(  # noqa: PLR0913 - loading has many options, all of them optional
        cls,
        model: str | Path | PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase | None = None,
        *,
        device: str | torch.device | None = None,
        dtype: torch.dtype | str | None = None,
        device_map: DeviceMap | None = None,
        quantization: Quantization | None = None,
        revision: str | None = None,
        frame: FrameName = "auto",
        system: str | None = None,
        instruction: str | None = None,
    ) -> GistModel:
        """Load a causal LM without trained gists, for baselines and `select` and `refine`.

        >>> GistModel.from_base("Qwen/Qwen3-0.6B", dtype="auto")   # by name
        >>> GistModel.from_base("model.gguf")                       # a GGUF file
        >>> GistModel.from_base(model, tokenizer)                   # in memory

        A model in memory is not changed, and its weights are shared: do not train or move it while
        it is used here.

        Args:
            model: Short name, .gguf file, directory or hub id of the base model; or the model.
            tokenizer: Tokenizer of a model in memory; a name includes its own.
            device: Where to run (default: the CPU; a model in memory is not moved).
            dtype: Compute type, its name, or `auto` for the stored type (default: float32; a model
                in memory keeps its own).
            device_map: Placement of the layers, as in transformers; instead of `device`.
            quantization: Quantisation while loading (None: as stored).
            revision: Branch, tag or commit of a hub repository.
            frame: Prompt format: `chat` uses the tokenizer's chat template, `plain` a question
                template, `auto` is chat if there is a chat template.
            system: System prompt of the chat frame (None: the template's own).
            instruction: Text between document and question in the chat frame (None: none).

        Raises:
            BadInputError: If there is no such model, or arguments exclude each other.
            UnsupportedModelError: If the model does not support gists.
        """
        spec = GistSpec(scope="full", frame=frame, system=system, instruction=instruction)
        if not isinstance(model, str | Path):
            base, own = _borrowed(
                model, tokenizer, device=device, dtype=dtype, device_map=device_map,
                quantization=quantization, revision=revision,
            )  # fmt: skip
            return cls._of_base(base, own, base.config.name_or_path or type(base).__name__, spec)
        base, own = _loaded_by_name(
            str(model), tokenizer, device=device, dtype=dtype, device_map=device_map,
            quantization=quantization, revision=revision,
        )  # fmt: skip
        return cls._of_base(base, own, str(model), spec)

    @classmethod
    def _of_base(
        cls, base: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, name: str, spec: GistSpec
    ) -> GistModel:
        """Wrap a base without trained gists; check its prompt format at once."""
        spec = spec.settled(bool(tokenizer.chat_template))
        lm = GistLM(base, spec, untrained=True).eval()
        loaded = LoadedModel(lm, tokenizer, name, name, trained=False)
        _ = loaded.frame
        return cls(loaded)

    def save_pretrained(self, directory: str | Path) -> None:
        """Write model, tokenizer and model card, which `from_pretrained` loads."""
        checkpoint.save(
            self.loaded.lm,
            self.loaded.tokenizer,
            Path(directory),
            base_name=self.loaded.base_name,
            card=checkpoint.read_card(self.loaded.name),
        )

    def push_to_hub(self, repository: str, *, private: bool = True) -> str:
        """Upload model and model card to a hub repository; return its address."""
        import tempfile

        from huggingface_hub import HfApi

        api = HfApi()
        address = api.create_repo(repository, private=private, exist_ok=True)
        with tempfile.TemporaryDirectory() as directory:
            self.save_pretrained(directory)
            api.upload_folder(repo_id=repository, folder_path=directory)
        return str(address)

    @overload
    def compress(
        self,
        text: str,
        *,
        method: str | Compressor = "gist",
        gists: int | None = None,
        progress: Progress = ignore_progress,
    ) -> GistCache: ...
    @overload
    def compress(
        self,
        text: list[str],
        *,
        method: str | Compressor = "gist",
        gists: int | None = None,
        progress: Progress = ignore_progress,
    ) -> list[GistCache]: ...
    def compress(
        self,
        text: str | list[str],
        *,
        method: str | Compressor = "gist",
        gists: int | None = None,
        progress: Progress = ignore_progress,
    ) -> GistCache | list[GistCache]:
        """Compress one document or several.

        >>> model.compress(text)                                 # trained gist tokens
        >>> model.compress(text, method="select")                # any base, seconds
        >>> model.compress(text, method=Refine(minutes=5))       # any base, minutes

        Args:
            text: A document or a list of documents.
            method: Name of a compression method, or the method with its settings.
            gists: Number of slots, if the method is given by name: per window for `gist` (at most
                as many as trained) and `refine`, in total for `select`.
            progress: Called with work done and work in total.

        Raises:
            BadInputError: If a document is empty, too short, too long, not valid Unicode, not a
                str or the name of a file, or the method needs trained gists and the model has none,
                or `gists` is given with a method that is not a name.
            UnsupportedModelError: If the method cannot use the model.
        """
        texts = documents(text)
        if isinstance(method, str):
            method = build_compressor(method, {"gists": gists})
        elif not isinstance(method, Compressor):
            raise BadInputError(
                f"compress takes the name of a method ({', '.join(COMPRESSORS)}) or a method with "
                f"its settings, such as Select(ratio=4); found {type(method).__name__}"
            )
        elif gists is not None:
            raise BadInputError(
                f"gists={gists} was given with the method {method!r}; set it there: "
                f"{type(method).__name__}(gists={gists})"
            )
        require_trained(self.loaded, method)
        caches = method.compress(self.loaded, texts, progress)
        return caches[0] if isinstance(text, str) else caches

    @overload
    def ask(
        self, gist: GistCache, question: str, sampling: Sampling = GREEDY, *,
        turns: Sequence[Turn] = (), deterministic: bool | None = None,
    ) -> Answer: ...  # fmt: skip
    @overload
    def ask(
        self, gist: GistCache, question: list[str], sampling: Sampling = GREEDY, *,
        turns: Sequence[Turn] = (), deterministic: bool | None = None,
    ) -> list[Answer]: ...  # fmt: skip
    def ask(
        self, gist: GistCache, question: str | list[str], sampling: Sampling = GREEDY, *,
        turns: Sequence[Turn] = (), deterministic: bool | None = None,
    ) -> Answer | list[Answer]:  # fmt: skip
        """Answer one question, or a list of them, from the gist alone.

        Args:
            gist: The compressed document.
            question: One question or a list of them.
            sampling: How to choose tokens.
            turns: Earlier questions and answers of the conversation.
            deterministic: True runs each question of a list alone, so that answers are
                bit-identical however many are asked; False runs one batch, which is faster. None
                (default): one batch in float32, where rounding is too small to change a token, and
                each alone in bfloat16 and float16, where a batch can change an answer.

        Raises:
            BadInputError: If a question is empty or too long.
            GistMismatchError: If another model made the gist.
        """
        questions = strings(question, "ask", "question")
        layers = self._prefix(gist, "ask").layers
        answers = _generate.stripped(
            _generate.answer(
                self.loaded, layers, questions, sampling, turns=turns,
                one_at_a_time=self._alone(deterministic),
            )
        )  # fmt: skip
        return answers[0] if isinstance(question, str) else answers

    def ask_each(
        self, gists: Sequence[GistCache], questions: Sequence[str], sampling: Sampling = GREEDY, *,
        deterministic: bool | None = None,
    ) -> list[Answer]:  # fmt: skip
        """Ask each gist one question.

        Args:
            gists: Compressed documents, with any numbers of slots.
            questions: One question per gist.
            sampling: How to choose tokens.
            deterministic: See `ask`.

        Raises:
            BadInputError: If there are not as many questions as gists, or one is empty or too long.
            GistMismatchError: If another model made a gist.
        """
        questions = strings(questions, "ask_each", "question")
        if len(gists) != len(questions) or not gists:
            raise BadInputError(
                f"{len(gists)} gists and {len(questions)} questions; give one question for each"
            )
        prefix, mask = stacked([self._prefix(gist, "ask_each").layers for gist in gists])
        answers = _generate.answer(
            self.loaded, prefix, questions, sampling, prefix_mask=None if mask.all() else mask,
            one_at_a_time=self._alone(deterministic),
        )  # fmt: skip
        return _generate.stripped(answers)

    def check(self, gist: GistCache, text: str) -> Check:
        """Compare answers from the gist with answers from the whole document; takes seconds.

        The questions are made from the text.

        >>> gist = gist.checked(model.check(gist, text))    # saved with it, shown by `inspect`

        Args:
            gist: The compressed document.
            text: The document.

        Raises:
            BadInputError: If the document is empty or not valid Unicode.
            GistMismatchError: If another model made the gist.
        """
        return _check.check(self.loaded, self._prefix(gist, "check"), text)

    def adopt(self, gist: GistCache) -> GistCache:
        """Accept a gist that another model made.

        Nothing checks whether the gist is meaningful to this model: answers may be wrong silently.

        Raises:
            GistMismatchError: If the shapes differ, so that the gist cannot be used at all.
        """
        return self.loaded.adopt(require_gist(gist, "adopt"))

    def stream(
        self, gist: GistCache, question: str, sampling: Sampling = GREEDY, *,
        turns: Sequence[Turn] = (),
    ) -> Generator[str]:  # fmt: skip
        """Yield the same text as `ask` in parts; closing the generator stops the answer."""
        (question,) = strings(question, "stream", "question")
        layers = self._prefix(gist, "stream").layers
        return _generate.stream(self.loaded, layers, question, sampling, turns=turns)

    def _prefix(self, gist: GistCache, function: str) -> GistCache:
        """Return a gist on the model's device and in its type, after checking that it fits.

        Args:
            gist: The argument of a method.
            function: Name of the method, for messages.
        """
        self.loaded.require_own(require_gist(gist, function))
        dtype = self.loaded.lm.base.dtype
        prefix = gist.to(self.loaded.device, dtype)
        if dtype != gist.layers[0][0].dtype:
            require_finite(prefix.layers, "this gist cannot be used in another type")
        return prefix

    def _alone(self, deterministic: bool | None) -> bool:
        """Return whether each question is run alone."""
        if deterministic is None:
            return self.loaded.lm.base.dtype != torch.float32
        return deterministic


def _device(device: str | torch.device | None, device_map: DeviceMap | None) -> str | torch.device:
    """Return the device of a model without `device_map`."""
    if device is not None and device_map is not None:
        raise BadInputError(
            f"device {str(device)!r} and device_map {device_map!r} given; give one of them"
        )
    return "cpu" if device is None else device


def _borrowed(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase | None, **options: object
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Return a model in memory and its tokenizer; loading options are refused."""
    given = [option for option, value in options.items() if value is not None]
    if given:
        raise BadInputError(
            f"{given[0]} given with a model in memory, which stays as it is; leave "
            f"{' and '.join(given)} out, or give the name of the model"
        )
    return borrow(model, tokenizer)


def _loaded_by_name(
    name: str,
    tokenizer: PreTrainedTokenizerBase | None,
    *,
    device: str | torch.device | None,
    dtype: torch.dtype | str | None,
    device_map: DeviceMap | None,
    quantization: Quantization | None,
    revision: str | None,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a base by name, with its own tokenizer, and move it to the device."""
    if tokenizer is not None:
        raise BadInputError(
            f"a tokenizer was given with the name {name!r}, which includes its own; leave it out, "
            "or give the model in memory"
        )
    place = _device(device, device_map)
    base, own = load_base(
        name,
        dtype=torch.float32 if dtype is None else dtype,
        quantization=quantization,
        device_map=device_map,
        revision=revision,
    )
    if device_map is None:
        cast(nn.Module, base).to(place)
    return base, own

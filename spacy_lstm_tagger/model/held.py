"""A torch network and the meaning of its ids: made, grown, and prepared for prediction."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from thinc.api import xp2torch
from thinc.types import FloatsXd
from thinc.util import get_torch_default_device

from ..prediction.reader import Reader, reader_of
from .learnt import Learnt
from .vocabulary import UNKNOWN, News, Vocabulary

if TYPE_CHECKING:
    import torch


def require_torch() -> Any:
    """Return PyTorch; ImportError if it isn't installed."""
    try:
        import torch
    except ImportError as error:
        raise ImportError(
            "Training needs PyTorch, and so does prediction on a GPU: pip install torch"
        ) from error
    return torch


class Prepared(NamedTuple):
    """A reader of weights as they were, and what its ids mean.

    version: Equal to the shim's, as long as the weights are the same.
    """

    version: object
    vocabulary: Any
    reader: Reader


class HeldNetwork:
    """Hold a torch network whose sizes become known only when it meets data.

    Only one thread at a time can change the weights. Predictions in other threads see old weights,
    new ones or, during a step of an optimizer or `use_params`, some of both; but nothing that they
    prepared or remembered of old weights is used after the change. For prediction on a CPU, no
    torch is needed, which is imported only where it is.

    network_class: Name of a class in `network/encoder.py`.
    cfg: The arguments of it that the config decides; plain values.
    """

    cfg: dict[str, Any]

    def __init__(self, network_class: str):
        self.network_class = network_class
        self._learnt = Learnt({}, None, None, None)
        self._prepared: Prepared | None = None
        self._version = object()  # another one after each change

    @property
    def is_empty(self) -> bool:
        """Whether there is no network yet."""
        return self._learnt.is_empty

    @property
    def vocabulary(self) -> Vocabulary:
        """What the ids of the network's input mean; ValueError if there is no network yet."""
        return cast(Vocabulary, self._require_learnt().vocabulary)

    @property
    def vector_width(self) -> int:
        """How wide the static vectors are that the network reads; 0 if it reads none."""
        return self._require_learnt().sizes["vector_width"]

    def build(self, vocabulary: Vocabulary, **other_sizes: int) -> None:
        """Make the network afresh.

        vocabulary (Vocabulary): What the ids of its input mean; kept and saved with the weights.
        other_sizes (int): The arguments of the network that the data decides, beside the sizes of
            the vocabulary.
        """
        torch, sizes = require_torch(), {**vocabulary.sizes, **other_sizes}
        with self._changing(), torch.device("cpu"):
            network = self._make_network(sizes).to(get_torch_default_device())
            self._learnt = Learnt(sizes, vocabulary, None, network)

    @property
    def network(self) -> Any:
        """The torch network; made when it is first asked for, if the weights were loaded."""
        learnt = self._require_learnt()
        if learnt.network is not None:
            return learnt.network
        torch = require_torch()
        with self._changing():
            with torch.device("meta"):  # no weights yet: drawing them at random would cost time
                network = self._make_network(learnt.sizes)
            weights = learnt.all_weights().items()
            state = {name: torch.tensor(values, device="cpu") for name, values in weights}
            network.load_state_dict(state, strict=True, assign=True)
            network = network.to(get_torch_default_device())
            self._learnt = learnt._replace(weights=None, network=network)
        return network

    def take_over(self, encoder: "HeldNetwork") -> None:
        """Take over the vocabulary and the weights of an encoder. The network is made afresh, with
        a new output layer. Which words are rare, the own vocabulary still says.

        RAISES: ValueError if it reads static vectors of another width.
        """
        sizes, taken = self._require_learnt().sizes, encoder._require_learnt()
        if encoder.vector_width != self.vector_width:
            raise ValueError(
                f"it reads word vectors {encoder.vector_width} wide, and those of the pipeline are "
                f"{self.vector_width} wide"
            )
        own, vocabulary = self.vocabulary, encoder.vocabulary
        own_ids = [own.words.get(word, UNKNOWN) for word in vocabulary.words]
        vocabulary.is_rare = own.is_rare[[UNKNOWN, *own_ids]]
        self.build(
            vocabulary,
            **{name: sizes[name] for name in ("vector_width", "n_labels") if name in sizes},
        )
        with self._changing():
            weights = taken.all_weights().items()
            state = {name: xp2torch(cast(FloatsXd, values)) for name, values in weights}
            self.network.load_state_dict(state, strict=False)

    def learn(self, news: News) -> None:
        """Let the vocabulary grow. The network makes room first, and only then the ids are known,
        so threads can predict meanwhile. No prediction changes by it.
        """
        network, learnt, vocabulary = self.network, self._learnt, self.vocabulary
        sizes = vocabulary.sizes_with(news)
        with self._changing():
            network.grow(**sizes)
            self._learnt = learnt._replace(sizes={**learnt.sizes, **sizes})
        vocabulary.learn(news)

    def grow_output(self, n_labels: int) -> None:
        """Add labels at the end."""
        network, learnt = self.network, self._learnt
        with self._changing():
            network.grow_output(n_labels)
            self._learnt = learnt._replace(sizes={**learnt.sizes, "n_labels": n_labels})

    @property
    def device(self) -> "torch.device":
        """Where the network is."""
        return next(self.network.parameters()).device

    def prepare_reader(self) -> Reader:
        """Prepare the network for prediction on a CPU, unless it is; ValueError if there is none
        yet.
        """
        return self.prepare().reader

    def prepare(self) -> Prepared:
        """Prepare the network for prediction on a CPU, unless it is, with what its ids mean;
        ValueError if there is none yet.
        """
        version, prepared = self._version, self._prepared
        if prepared is None or prepared.version is not version:
            learnt = self._require_learnt()
            # If the weights change meanwhile, the version is an old one, and this is used once.
            prepared = Prepared(version, learnt.vocabulary, reader_of(learnt.finite_weights()))
            self._prepared = prepared
        return prepared

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Change weights: in the calling thread, and so that no reader outlives the change that
        was prepared before its end.
        """
        from ..network.training import training

        try:
            with training():
                yield
        finally:
            self._version = object()

    def _require_learnt(self) -> Learnt:
        learnt = self._learnt
        if learnt.is_empty:
            raise ValueError(
                "The model has no weights yet: initialize it with training data "
                "(nlp.initialize or spacy train), or load a trained pipeline."
            )
        return learnt

    def _make_network(self, sizes: dict[str, int]) -> Any:
        from ..network import encoder

        return getattr(encoder, self.network_class)(**self.cfg, **sizes)

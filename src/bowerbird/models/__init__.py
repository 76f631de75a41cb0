"""The models by name; a model's module is imported when the model is built."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from bowerbird.errors import HomeError, MissingExtraError, RecipeError, did_you_mean

if TYPE_CHECKING:
    from bowerbird.models.base import Model, ModelConfig
    from bowerbird.recipe_search import Search

MODELS = {
    "als": "Als",
    "bert4rec": "Bert4rec",
    "blend": "Blend",
    "bpr": "Bpr",
    "content": "Content",
    "cooccurrence": "Cooccurrence",
    "decision_tree": "DecisionTree",
    "ease": "Ease",
    "esasrec": "Esasrec",
    "gru4rec": "Gru4rec",
    "hstu": "Hstu",
    "item_knn": "ItemKnn",
    "linear_svm": "LinearSvm",
    "naive_bayes": "NaiveBayes",
    "neural_cf": "NeuralCf",
    "personal_frequency": "PersonalFrequency",
    "popularity": "Popularity",
    "popularity_by_category": "PopularityByCategory",
    "popularity_by_segment": "PopularityBySegment",
    "random": "Random",
    "sasrec": "Sasrec",
    "slim": "Slim",
    "tifu_knn": "TifuKnn",
    "tiger": "Tiger",
    "two_stage": "TwoStage",
    "two_tower": "TwoTower",
    "user_knn": "UserKnn",
}

CONFIGS = {
    "bert4rec": ("bowerbird.models.bert4rec_config", "Bert4recConfig"),
    "esasrec": ("bowerbird.models.esasrec_config", "EsasrecConfig"),
    "gru4rec": ("bowerbird.models.gru4rec_config", "Gru4recConfig"),
    "hstu": ("bowerbird.models.hstu_config", "HstuConfig"),
    "neural_cf": ("bowerbird.models.neural_cf_config", "NeuralCfConfig"),
    "sasrec": ("bowerbird.models.sasrec_config", "SasrecConfig"),
    "tiger": ("bowerbird.models.tiger_config", "TigerConfig"),
    "two_tower": ("bowerbird.models.two_tower_config", "TwoTowerConfig"),
}
"""Settings that lie apart from a model whose module takes seconds to import."""


def known_models() -> list[str]:
    """Return the names that ``build_model`` takes."""
    return sorted(MODELS)


def build_model(name: str, *, seed: int = 1, **config: Any) -> Model:  # Any: the model's config checks the keys
    """Make a model that is not fitted yet. Raises RecipeError for an unknown name or key, or a value not allowed."""
    checked = check_config(name, config)
    return model_class(name)(checked, seed=seed)


def check_config(name: str, config: Mapping[str, Any]) -> ModelConfig:  # Any: the model's config checks the keys
    """Return a model's settings, without importing what the model computes with. Raises RecipeError like ``build_model``."""
    return validate(_config_class(name), name, config)


def check_search(name: str, search: Search) -> None:
    """Check that a model has the searched settings and may take each of the values, and that what searches is installed.

    What settings ask of one another is left to the trials. Raises RecipeError like ``build_model``, and MissingExtraError.
    """
    kind = _config_class(name)
    for key in search.space:
        for value in search.ends(key):
            try:
                kind.model_validate({key: value})
            except ValidationError as error:
                if error.errors()[0]["loc"]:
                    raise _explained(kind, name, error) from error
    if find_spec("optuna") is None:
        raise MissingExtraError("optuna", extra="tune")


def _config_class(name: str) -> type[ModelConfig]:
    module, kind_name = CONFIGS.get(name, ("", ""))
    kind: type[ModelConfig] = getattr(import_module(module), kind_name) if module else model_class(name).Config
    return kind


def validate(kind: type[ModelConfig], name: str, config: Mapping[str, Any]) -> ModelConfig:  # Any: see ``check_config``
    """Check settings against a config. Raises RecipeError for an unknown key or a value not allowed."""
    try:
        return kind.model_validate(config)
    except ValidationError as error:
        raise _explained(kind, name, error) from error


def _explained(kind: type[ModelConfig], name: str, error: ValidationError) -> RecipeError:
    """Name the first mistake with the value got."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known = list(kind.model_fields)
        message = f"model {name!r} has no key {key!r}; known: {', '.join(known) or 'none'}" + did_you_mean(key, known)
    else:
        message = f"model {name!r}: {key}: {first['msg']}, got {first['input']!r}"
    return RecipeError(message, next_step="mend the model's settings")


def model_class(name: str) -> type[Model]:
    """Find the class of a model. Raises RecipeError for an unknown name."""
    if name not in MODELS:
        known = known_models()
        raise RecipeError(
            f"there is no model {name!r}; known: {', '.join(known)}" + did_you_mean(name, known), next_step="name one of these"
        )
    found: type[Model] = getattr(import_module(f"bowerbird.models.{name}"), MODELS[name])
    return found


def load_model(folder: Path, *, kind: type[Model] | None = None) -> Model:
    """Read a model that ``save`` wrote; ``kind`` is its class, where it is not one of the known models.

    Raises HomeError where the folder holds no model, or one of a newer format.
    """
    from bowerbird.models.base import FORMAT

    folder = Path(folder)
    try:
        about = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise HomeError(f"there is no model in {str(folder)!r}", next_step="name a folder that save() wrote") from error
    if about["format"] > FORMAT:
        raise HomeError(
            f"the model in {str(folder)!r} has format {about['format']}, this version reads up to {FORMAT}",
            next_step="update bowerbird",
        )
    if kind is None:
        model = build_model(about["name"], seed=about["seed"], **about["config"])
    else:
        model = kind(kind.Config.model_validate(about["config"]), seed=about["seed"])
    model.restore(folder, about)
    return model

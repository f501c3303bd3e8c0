"""Who is treated and what they do, predicted for rows that a model has not seen: folds of whole users, and a choice
between a penalised linear and a boosted model by the loss on such rows.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

ModelName = Literal["linear", "linear, shrunk", "boosted", "linear, then boosted"]
# On the held-out rows of the first folds boosted models learn how many trees they need; on those of the next ones,
# which decided nothing before, the models race; the winner does the others alone.
TUNED_FOLDS = 2
RACED_FOLDS = 2
# A fit sees at most so many rows, of users drawn at random: more would make it slower and hardly better.
MOST_FITTED = 100_000
# Under so many rows a boosted model has never won in the studies, and costs most.
FEWEST_BOOSTED = 400
MANY_ROWS = 10_000
SMALLEST_PROBABILITY = 1e-5


class Nuisance(NamedTuple):
    """Predictions for every row by models that did not see its user, and which kind of model made them."""

    predicted: np.ndarray
    model: ModelName


def user_folds(users: np.ndarray, marks: np.ndarray, *, folds: int, rng: np.random.Generator) -> np.ndarray:
    """The fold of each row: whole users, each fold with about the same share of every mark.

    Args:
        users: 0, 1, ..., one number per user.
        marks: a small number per row; a user has the largest of its rows.

    >>> fold = user_folds(np.array([0, 0, 1, 2, 3]), np.zeros(5, int), folds=2, rng=np.random.default_rng(1))
    >>> bool(fold[0] == fold[1]), np.bincount(fold[1:]).tolist()
    (True, [2, 2])
    """
    of_user = np.zeros(int(users.max()) + 1, np.int64)
    np.maximum.at(of_user, users, marks)
    fold = np.empty(len(of_user), np.int64)
    for mark in np.unique(of_user):
        own = rng.permutation(np.flatnonzero(of_user == mark))
        fold[own] = (np.arange(len(own)) + int(rng.integers(folds))) % folds
    return fold[users]


def crossfit(
    x: np.ndarray,
    y: np.ndarray,
    fold: np.ndarray,
    *,
    users: np.ndarray,
    rng: np.random.Generator,
    treated: np.ndarray | None = None,
    arm: int = 0,
) -> Nuisance:
    """Out-of-fold means of y given x: probabilities where y is 0 or 1. Predictions are for all rows.

    Args:
        treated: 0 or 1 per row, where the mean of one arm is asked: it is learnt from the rows of that arm.
        arm: which.
    """
    learn = np.ones(len(y), np.bool_) if treated is None else treated == arm
    is_binary = bool(np.isin(y, (0, 1)).all())
    racing = _candidates(is_binary, int(learn.sum()), seed=int(rng.integers(2**31)))
    predicted = {name: np.empty(len(y)) for name in racing}
    losses = dict.fromkeys(racing, 0.0)
    drawn = learn & _drawn(users, int(learn.sum()), rng)
    tuned = min(TUNED_FOLDS, int(fold.max()))
    for k in range(int(fold.max()) + 1):
        test = fold == k
        if k == tuned + RACED_FOLDS:
            best = min(losses, key=lambda name: losses[name])
            racing = {best: racing[best]}
        train, held = drawn & ~test, learn[test]
        given, known = (x[train], y[train], x[test]), y[test][held]
        for name, model in racing.items():
            learning = partial(model.tuned_means, held=held, known=known) if k < tuned else model.means
            predicted[name][test] = _fitted(learning, *given)
            losses[name] += _loss(known, predicted[name][test][held], is_binary) if k >= tuned else 0.0
    best = min(racing, key=lambda name: losses[name])
    return Nuisance(predicted[best], best)


def _drawn(users: np.ndarray, rows: int, rng: np.random.Generator) -> np.ndarray:
    """The rows of as many users, drawn at random, as a fit may see."""
    if rows <= MOST_FITTED:
        return np.ones(len(users), np.bool_)
    return (rng.random(int(users.max()) + 1) < MOST_FITTED / rows)[users]


class _Model(Protocol):
    """A kind of model: learns from x and y, and predicts the means of rows it has not seen."""

    def means(self, x: np.ndarray, y: np.ndarray, unseen: np.ndarray) -> np.ndarray:
        """The means of the rows `unseen`."""

    def tuned_means(
        self, x: np.ndarray, y: np.ndarray, unseen: np.ndarray, *, held: np.ndarray, known: np.ndarray
    ) -> np.ndarray:
        """The same, where the outcomes `known` of the rows `held` of `unseen` decide how much is learnt."""


def _candidates(is_binary: bool, rows: int, *, seed: int) -> dict[ModelName, _Model]:
    """The models that race; the first wins a tie."""
    found: dict[ModelName, _Model] = {}
    if is_binary:
        found["linear, shrunk"] = _Linear(partial(_logistic, 0.02))
        found["linear"] = _Linear(partial(_logistic, 1.0))
    else:
        found["linear"] = _Linear(_ridge)
    if rows >= FEWEST_BOOSTED:
        found["boosted"] = _Boosted(is_binary, rows, seed)
        if not is_binary:
            found["linear, then boosted"] = _LinearThenBoosted(rows, seed)
    return found


def _logistic(strength: float) -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression(C=strength, solver="newton-cholesky", max_iter=50))


def _ridge() -> Any:
    return make_pipeline(StandardScaler(), RidgeCV(alphas=(1.0, 10.0, 100.0, 1000.0)))


class _Linear:
    """A penalised linear model, fitted anew for every fold."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self.make = make

    def means(self, x: np.ndarray, y: np.ndarray, unseen: np.ndarray) -> np.ndarray:
        return _predicted(self.make().fit(x, y), unseen)

    def tuned_means(self, x: np.ndarray, y: np.ndarray, unseen: np.ndarray, **_: np.ndarray) -> np.ndarray:
        return self.means(x, y, unseen)


class _Boosted:
    """Boosted trees, as many as told most about held rows: in a tuned fold about its own, later the mean of these.

    Small trees learnt slowly where there are few rows; larger ones, which find what goes together, where many.
    """

    def __init__(self, is_binary: bool, rows: int, seed: int) -> None:
        is_large = rows >= MANY_ROWS
        self.most, self.patience = (120, 10) if is_large else (120, 12)
        self.best: list[int] = []
        self.make = partial(
            HistGradientBoostingClassifier if is_binary else HistGradientBoostingRegressor,
            learning_rate=0.2 if is_large else 0.12,
            max_leaf_nodes=15 if is_large else 6,
            min_samples_leaf=20,
            l2_regularization=1.0,
            random_state=seed,
        )

    def means(self, x: np.ndarray, y: np.ndarray, unseen: np.ndarray) -> np.ndarray:
        trees = round(sum(self.best) / len(self.best)) if self.best else self.most
        return _predicted(self.make(max_iter=trees, early_stopping=False).fit(x, y), unseen)

    def tuned_means(
        self, x: np.ndarray, y: np.ndarray, unseen: np.ndarray, *, held: np.ndarray, known: np.ndarray
    ) -> np.ndarray:
        if not len(known):
            return self.means(x, y, unseen)
        watched = self.make(max_iter=self.most, early_stopping=True, n_iter_no_change=self.patience)
        watched.fit(x, y, X_val=unseen[held], y_val=known)
        self.best.append(max(int(np.argmax(watched.validation_score_)), 1))
        is_binary = hasattr(watched, "predict_proba")
        stages = watched.staged_predict_proba(unseen) if is_binary else watched.staged_predict(unseen)
        last = next(islice(stages, self.best[-1] - 1, None))
        return last[:, 1] if is_binary else last


class _LinearThenBoosted:
    """A linear model and a boosted one of what it leaves: trees alone do not follow a slope beyond the data."""

    def __init__(self, rows: int, seed: int) -> None:
        self.boosted = _Boosted(False, rows, seed)

    def means(self, x: np.ndarray, y: np.ndarray, unseen: np.ndarray) -> np.ndarray:
        linear = _ridge().fit(x, y)
        return linear.predict(unseen) + self.boosted.means(x, y - linear.predict(x), unseen)

    def tuned_means(
        self, x: np.ndarray, y: np.ndarray, unseen: np.ndarray, *, held: np.ndarray, known: np.ndarray
    ) -> np.ndarray:
        linear = _ridge().fit(x, y)
        straight = linear.predict(unseen)
        left = known - straight[held]
        return straight + self.boosted.tuned_means(x, y - linear.predict(x), unseen, held=held, known=left)


def _predicted(model: Any, unseen: np.ndarray) -> np.ndarray:
    return model.predict_proba(unseen)[:, 1] if hasattr(model, "predict_proba") else model.predict(unseen)


def _fitted(learn: Callable[..., np.ndarray], x: np.ndarray, y: np.ndarray, unseen: np.ndarray) -> np.ndarray:
    """Predictions of a model of x and y for rows it has not seen; of a y that is always the same, that value."""
    if not len(y) or np.ptp(y) == 0:
        return np.full(len(unseen), y[0] if len(y) else 0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return learn(x, y, unseen)


def _loss(y: np.ndarray, predicted: np.ndarray, is_binary: bool) -> float:
    """Summed log loss, or summed squares."""
    if not is_binary:
        return float(np.square(y - predicted).sum())
    p = np.clip(predicted, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
    return float(-(y * np.log(p) + (1 - y) * np.log(1 - p)).sum())

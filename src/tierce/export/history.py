"""Times of an image's config, filled in as BuildKit's exporter does."""

from collections.abc import Sequence
from datetime import UTC, datetime

from tierce.oci.config import History


def timestamp(seconds: float) -> str:
    """An RFC 3339 time in UTC, as Go writes it: no more digits than needed."""
    moment = datetime.fromtimestamp(seconds, UTC)
    text = moment.strftime("%Y-%m-%dT%H:%M:%S")
    fraction = f".{moment.microsecond:06d}".rstrip("0").rstrip(".")
    return f"{text}{fraction}Z"


def date_history(
    history: Sequence[History], layer_times: Sequence[str], inherited: int, epoch: int | None
) -> tuple[History, ...]:
    """History entries that all have a time.

    `layer_times` has one time for each entry with a layer, from the bottom; an entry that has a
    time keeps it. An entry without a layer gets the time of the layer before it or, before the
    first new layer, of that one. With an `epoch` (seconds), no entry but the first `inherited`
    ones is later.
    """
    dated: list[History] = []
    layer = 0
    for entry in history:
        if not entry.empty_layer:
            if entry.created is None:
                entry = entry.replace(created=layer_times[layer])
            layer += 1
        dated.append(entry)
    dated = _fill(dated)
    if epoch is None:
        return tuple(dated)
    limit = timestamp(epoch)
    return tuple(
        entry.replace(created=limit)
        if index >= inherited and (entry.created is None or _later(entry.created, epoch))
        else entry
        for index, entry in enumerate(dated)
    )


def _fill(history: list[History]) -> list[History]:
    """Give entries without a time that of the nearest layer."""
    current: str | None = None
    missing = False
    for entry in history:
        if entry.created is None:
            missing = True
            continue
        current = entry.created
        if missing:
            break
    filled = []
    missing = False
    for entry in history:
        if entry.created is None:
            missing = True
            entry = entry.replace(created=current)
        elif missing:
            current = entry.created
        filled.append(entry)
    return filled


def _later(created: str, epoch: int) -> bool:
    try:
        return datetime.fromisoformat(created).timestamp() > epoch
    except ValueError:
        # More digits than Python reads; seconds are enough to compare by.
        return datetime.fromisoformat(created[:19] + "+00:00").timestamp() > epoch

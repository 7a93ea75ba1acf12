"""What --log-driver and --log-opt ask for."""

import pytest

from tierce.containers.logdriver import (
    attributes,
    check_log_driver,
    decimal_size,
    limits_of,
)
from tierce.containers.logfiles import LogLimits
from tierce.errors import UsageError


@pytest.mark.parametrize(
    ("driver", "options", "limits"),
    [
        ("json-file", {}, LogLimits(0, 1)),
        ("json-file", {"max-file": "5"}, LogLimits(0, 1)),
        ("json-file", {"max-size": "10m"}, LogLimits(10_000_000, 1)),
        ("json-file", {"max-size": "1k", "max-file": "3"}, LogLimits(1000, 3)),
        ("local", {}, LogLimits(20 << 20, 5)),
        ("none", {}, LogLimits(0, 1)),
    ],
)
def test_limits(driver: str, options: dict[str, str], limits: LogLimits) -> None:
    check_log_driver(driver, options)
    assert limits_of(driver, options) == limits


@pytest.mark.parametrize(
    ("driver", "options", "message"),
    [
        ("syslog", {}, "no log driver named 'syslog' is registered"),
        ("none", {"tag": "x"}, "invalid logging opts for driver none"),
        ("json-file", {"size": "1"}, "unknown log opt 'size' for json-file log driver"),
        ("json-file", {"max-size": "0"}, "max-size must be a positive number"),
        ("json-file", {"max-size": "many"}, "invalid size: 'many'"),
        ("json-file", {"max-file": "0"}, "max-file cannot be less than 1"),
        ("json-file", {"max-file": "x"}, "no whole number"),
        ("json-file", {"compress": "true"}, "not compressed"),
        ("json-file", {"mode": "non-blocking"}, "waits until what it writes"),
        ("json-file", {"labels-regex": "("}, "invalid log opt labels-regex"),
    ],
)
def test_what_cannot_be_given_is_refused(
    driver: str, options: dict[str, str], message: str
) -> None:
    with pytest.raises(UsageError, match=message.replace("(", r"\(")):
        check_log_driver(driver, options)


@pytest.mark.parametrize(
    ("text", "size"), [("5", 5), ("10k", 10_000), ("1.5 GB", 1_500_000_000), ("2MiB", 2_000_000)]
)
def test_sizes_are_decimal(text: str, size: int) -> None:
    assert decimal_size(text) == size


def test_details_are_chosen_labels_and_variables() -> None:
    found = attributes(
        {"labels": "tier,none", "env-regex": "^A", "tag": "{{.Name}}/{{.ID}}"},
        labels={"tier": "front", "other": "x"},
        env={"A1": "1", "B": "2"},
        fields={"Name": "web", "ID": "0123"},
    )
    assert found == {"tier": "front", "A1": "1", "tag": "web/0123"}

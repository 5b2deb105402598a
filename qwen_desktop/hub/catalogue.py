"""Reads the catalogue that comes with the program. No network."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from qwen_desktop.chat.catalogue import Catalogue, Kind, Offer, Stored
from qwen_desktop.chat.hub import Hub, RepositoryName

FILE = Path(__file__).with_name("catalogue.json")
FORMAT = "qwen-desktop catalogue"


@lru_cache(maxsize=1)
def bundled() -> Catalogue:
    """The table of this version of the program. Read once, on whichever thread asks first."""
    return parse(json.loads(FILE.read_text(encoding="utf-8")))


def parse(value: Mapping[str, Any]) -> Catalogue:
    """The table in `value`, the content of its JSON file.

    Raises ValueError, KeyError or TypeError where it is none: a mistake of ours, not the user's.
    """
    if value["format"] != FORMAT or value["version"] != 1:
        raise ValueError(f"{value['format']}, version {value['version']}")
    architectures = value["architectures"]
    offers = tuple(offer for entry in value["models"] for offer in _offers(entry, architectures))
    keys = [offer.key for offer in offers]
    if len(set(keys)) != len(keys):
        raise ValueError("a repository stands in the table twice")
    return Catalogue(str(value["as_of"]), offers)


def _offers(entry: Mapping[str, Any], architectures: Mapping[str, Any]) -> Iterator[Offer]:
    config: dict[str, Any] = {}
    if "architecture" in entry:
        config = {**architectures[entry["architecture"]], **entry.get("config", {})}
    for stored, form in entry["formats"].items():
        yield Offer(
            model=entry["name"],
            series=entry["series"],
            kind=Kind(entry.get("kind", "general")),
            stored=Stored(stored),
            parameters=int(entry["parameters"]),
            stored_parameters=int(entry.get("stored_parameters", 0)),
            active=int(entry.get("active", 0)),
            licence=entry.get("licence", ""),
            repositories={Hub(h): _name(form[h]) for h in ("huggingface", "modelscope")},
            config={**config, **form.get("config", {})} if config else {},
            floats=form.get("floats", ""),
        )


def _name(text: str) -> RepositoryName:
    owner, name = text.split("/")
    return RepositoryName(owner, name)

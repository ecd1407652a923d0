"""The ids of the documents of a tokenised file, as arrays.

Three layouts are read: Megatron's, with an index `x.idx` beside `x.bin`; `.npy` as NumPy saves it;
and flat files of little-endian integers, as those of OLMo (whose suffix is `.npy` too) and nanoGPT.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitlaw.corpus.sources.input_errors import InputErrors
from splitlaw.corpus.sources.located import MAX_DOCUMENT_BYTES, index_path

Ids = NDArray[np.integer[Any]]
"""Token ids, `[tokens]`."""

_MAGIC, _VERSION = b"MMIDIDX\0\0", 1
_HEADER = struct.Struct("<9sQBQQ")
"""Magic, version, code of the type, number of sequences, number of document bounds. The arrays of
sequence lengths (int32), sequence positions in bytes (int64) and bounds (int64) follow."""
_TYPES = {1: "<u1", 2: "<i1", 3: "<i2", 4: "<i4", 5: "<i8", 8: "<u2"}
"""Megatron's codes of the types of integers."""
_NUMPY_MAGIC = b"\x93NUMPY"
_BLOCK = 1 << 22
"""Ids of a flat file that are searched for ends of documents at a time, 8 or 16 MB."""
_COMPARED_IDS = 4096
"""Ids at the beginning of a flat file that show whether they are wider than they are read."""
_FEWEST_COMPARED = 16
"""Fewer ids may have zeros at every second place by chance."""


def read_id_arrays(
    path: Path, flat_type: np.dtype[Any], end_of_text: int, errors: InputErrors
) -> Iterator[Ids]:
    """Yield the ids of each document of a token file, without ends of text at its ends.

    `flat_type` is the type of the ids of a file without a header. What cannot be read is reported
    to `errors`. Raises `ValueError` or `OSError` for a damaged file.
    """
    if index_path(path).is_file():
        documents = _read_megatron(path, errors)
    else:
        documents = _read_flat(path, flat_type, end_of_text, errors)
    for ids in documents:
        inside = np.flatnonzero(ids != end_of_text)
        if inside.size:
            yield ids[inside[0] : inside[-1] + 1]


def _read_megatron(path: Path, errors: InputErrors) -> Iterator[Ids]:
    index = index_path(path)
    size = index.stat().st_size
    with index.open("rb") as stream:
        header = stream.read(_HEADER.size).ljust(_HEADER.size, b"\0")
    magic, version, code, sequences, bounds = _HEADER.unpack(header)
    if size >= _HEADER.size and (magic, version) != (_MAGIC, _VERSION):
        errors.report(str(index), "not an index of Megatron; convert the file or rename the index")
        return
    wanted = _HEADER.size + 12 * sequences + 8 * bounds
    if size < max(wanted, _HEADER.size):
        errors.report(str(index), f"truncated index ({size} bytes instead of {wanted})")
        return
    if code not in _TYPES:
        errors.report(str(index), f"ids are no integers (type {code})")
        return
    kind = np.dtype(_TYPES[code])
    lengths, positions, ends = _index_arrays(index, sequences, bounds)
    if (lengths < 0).any() or (positions < 0).any() or (positions % kind.itemsize).any():
        errors.report(str(index), "damaged index (a length or position that no sequence can have)")
        return
    if (np.diff(ends) < 0).any() or ((ends < 0) | (ends > sequences)).any():
        errors.report(str(index), "damaged index (bounds of documents that are not in order)")
        return
    sizes = kind.itemsize * lengths.astype(np.int64)
    if (positions > path.stat().st_size - sizes).any():
        errors.report(str(path), f"shorter than its index {index.name} says; copy both again")
        return
    if not sizes.any():
        return
    tokens = np.memmap(path, kind, "r")
    first = positions // kind.itemsize
    # Some writers leave out the first bound or the last one.
    cuts = np.union1d(ends, [0, sequences]).astype(np.int64)
    for low, high in zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True):
        parts = [tokens[first[i] : first[i] + lengths[i]] for i in range(low, high)]
        yield parts[0] if len(parts) == 1 else np.concatenate(parts)


def _index_arrays(
    index: Path, sequences: int, bounds: int
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
    """Return lengths and positions in bytes, `[sequences]`, and the bounds of documents."""
    place = _HEADER.size
    arrays = []
    for kind, count in (("<i4", sequences), ("<i8", sequences), ("<i8", bounds)):
        arrays.append(np.fromfile(index, kind, count, offset=place))
        place += arrays[-1].nbytes
    return arrays[0], arrays[1], arrays[2]


def _read_flat(
    path: Path, flat_type: np.dtype[Any], end_of_text: int, errors: InputErrors
) -> Iterator[Ids]:
    tokens = _open_flat(path, flat_type, errors)
    begun: list[Ids] = []  # the parts of a document that continues in the next block
    for begin in range(0, tokens.size, _BLOCK):
        block = np.asarray(tokens[begin : begin + _BLOCK])
        low = 0
        for end in np.flatnonzero(block == end_of_text).tolist():
            yield np.concatenate([*begun, block[low:end]])
            begun, low = [], end + 1
        begun.append(block[low:])
        length = sum(part.size for part in begun)
        if length > MAX_DOCUMENT_BYTES:  # a token has at least one byte
            errors.report(
                str(path), f"no end of text ({end_of_text}, in {length} ids); set end_of_text"
            )
            return
    if begun and sum(part.size for part in begun) == tokens.size:
        errors.note(str(path), "no end of text, so that the file is one document", once=True)
    if begun:
        yield np.concatenate(begun)


def _open_flat(path: Path, flat_type: np.dtype[Any], errors: InputErrors) -> Ids:
    with path.open("rb") as stream:
        has_header = stream.read(len(_NUMPY_MAGIC)) == _NUMPY_MAGIC
    nothing = np.empty(0, flat_type)
    if has_header:
        array = np.load(path, mmap_mode="r")
        if array.ndim == 1 and array.dtype.kind in "iu":
            return np.asarray(array)
        errors.report(str(path), f"not a list of integers ({array.dtype} {list(array.shape)})")
        return nothing
    size = path.stat().st_size
    if not size:
        return nothing  # it cannot be mapped
    if size % flat_type.itemsize:
        errors.report(str(path), f"not a whole number of {flat_type.name} ids ({size} bytes)")
        return nothing
    ids = np.memmap(path, flat_type, "r")
    begin = ids[:_COMPARED_IDS]
    if begin.size >= _FEWEST_COMPARED and begin[::2].any() and not begin[1::2].any():
        remedy = "set token_type to uint32" if flat_type.itemsize == 2 else "convert it to uint32"
        errors.report(str(path), f"every second {flat_type.name} is 0, as in wider ids; {remedy}")
        return nothing
    return ids

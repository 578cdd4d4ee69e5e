# SPDX-License-Identifier: Apache-2.0
"""tests/integration/csv_rows.py - rows of two classes that a line divides, as CSV."""

import numpy


def write_rows(folder, seed, objects, rows):
    """Objects of `rows` rows and more, of a label and six features, below a new directory."""
    draw = numpy.random.default_rng(seed)
    folder.mkdir()
    for shard in range(objects):
        features = numpy.round(draw.normal(size=(rows + shard * 37, 6)), 3)
        labels = (features[:, 0] + features[:, 1] > 0).astype(int)
        lines = (f"{k}," + ",".join(map(str, x)) + "\n" for k, x in zip(labels, features))
        (folder / f"part-{shard}.csv").write_text("".join(lines))
    return folder

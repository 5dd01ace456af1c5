"""Mutations of bytes and of lines, for files of text."""


def of_bytes(alphabet):
    """Return two mutations: one byte changed, and one put in, both to bytes of ``alphabet``."""

    def change_byte(data, rng):
        data[rng.integers(len(data))] = rng.choice(list(alphabet))

    def insert_byte(data, rng):
        data.insert(rng.integers(len(data) + 1), rng.choice(list(alphabet)))

    return change_byte, insert_byte


def delete_bytes(data, rng):
    start = rng.integers(len(data))
    del data[start : start + rng.integers(1, 20)]


def truncate(data, rng):
    del data[rng.integers(1, len(data)) :]


def of_rows(line_end):
    """Return a mutation that swaps, deletes or repeats a row."""

    def change_rows(data, rng):
        rows = bytes(data).split(line_end)
        one, other = rng.integers(len(rows), size=2)
        match rng.integers(3):
            case 0:
                rows[one], rows[other] = rows[other], rows[one]
            case 1:
                del rows[one]
            case 2:
                rows.insert(one, rows[other])
        data[:] = line_end.join(rows)

    return change_rows

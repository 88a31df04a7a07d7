"""recorded.txt: what massdns printed. `== LINE` begins a line of the list, `== case NAME` one of
the cases. Behind bars are the lines that were printed, each once; then each format has the numbers
of its lines, from 1; 0 is an empty line. Formats that print alike stand together, and one that is
not named printed nothing. A line of format B is a packet: server, then octets behind the id."""

import os

from scenario import HERE

PATH = os.path.join(HERE, "recorded.txt")


def write(commit, blocks):
    """blocks: {title: {format: text}}, in order, without what is empty."""
    with open(PATH, "w", encoding="ascii") as file:
        file.write(f"# What massdns (commit {commit}) printed.\n"
                   "# Written by record.py, read by recording.py, which explains it.\n")
        for title, printed in blocks.items():
            file.write(f"\n== {title}\n")
            numbers, alike = {"": 0}, {}
            for name, text in printed.items():
                assert text.endswith("\n"), (title, name, text)
                line_numbers = [numbers.setdefault(line, len(numbers))
                                for line in text[:-1].split("\n")]
                alike.setdefault(" ".join(map(str, line_numbers)), []).append(name)
            file.writelines(f"|{line}\n" for line in list(numbers)[1:])
            file.writelines(f"{' '.join(names)}: {text}\n" for text, names in alike.items())


def read():
    blocks, lines = {}, []
    with open(PATH, encoding="ascii") as file:
        for line in file.read().split("\n"):
            if line.startswith("== "):
                printed, lines = blocks.setdefault(line[3:], {}), [""]
            elif line.startswith("|"):
                lines.append(line[1:])
            elif line and not line.startswith("#"):
                names, numbers = line.split(": ")
                text = "".join(lines[int(number)] + "\n" for number in numbers.split())
                printed.update(dict.fromkeys(names.split(), text))
    return blocks

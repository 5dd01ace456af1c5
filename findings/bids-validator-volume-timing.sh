#!/usr/bin/env bash
# bids-validator-deno 3.0.2 accepts a VolumeTiming that does not fit its image.
#
# Expected: BIDS says of VolumeTiming that "the list must have the same length as the BOLD series" and of DelayTime that it
# delays "the acquisition of data for the following volume", so that it is a part of RepetitionTime.
# What happens: a list of 3 times for 4 volumes, and a DelayTime of 2 s in a RepetitionTime of 1.5 s, pass without an error.
# A list that does not increase, or that stands beside RepetitionTime, is reported.
# Why it matters here: the times say which scan belongs to which clip. A list one short may be one too early throughout.
# What a user can do: do not take a valid data set for a consistent one; compare len(VolumeTiming) with dim[4], DelayTime with the TR.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet bids-validator-deno==3.0.2
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import gzip, json, pathlib, struct, subprocess, sys

folder = pathlib.Path(sys.argv[1])
func = folder / "study/sub-01/func"
func.mkdir(parents=True)
(folder / "study/README.md").write_text("Made to try the validator. " * 10)
(folder / "study/dataset_description.json").write_text(json.dumps({"Name": "x", "BIDSVersion": "1.9.0"}))
header = bytearray(352)
struct.pack_into("<i", header, 0, 348)
struct.pack_into("<8h", header, 40, 4, 3, 3, 2, 4, 1, 1, 1)  # four volumes
struct.pack_into("<2h", header, 70, 4, 16)  # int16
struct.pack_into("<8f", header, 76, 1, 1, 1, 1, 1.5, 0, 0, 0)
struct.pack_into("<f", header, 108, 352)
header[123] = 2 | 8  # mm, s
header[344:348] = b"n+1\0"
sidecars = {
    "increasing": {"VolumeTiming": [0, 3, 1.5, 4.5], "SliceTiming": [0, 0.5]},
    "both": {"VolumeTiming": [0, 1.5, 3, 4.5], "RepetitionTime": 1.5, "SliceTiming": [0, 0.5]},
    "short": {"VolumeTiming": [0, 1.5, 3], "SliceTiming": [0, 0.5]},
    "delay": {"RepetitionTime": 1.5, "DelayTime": 2},
}
for name, fields in sidecars.items():
    stem = f"sub-01_task-{name}"
    (func / f"{stem}_bold.nii.gz").write_bytes(gzip.compress(bytes(header) + bytes(3 * 3 * 2 * 4 * 2)))
    (func / f"{stem}_bold.json").write_text(json.dumps({"TaskName": name, **fields}))
    (func / f"{stem}_events.tsv").write_text("onset\tduration\n0\t1\n")
command = [folder / "venv/bin/bids-validator-deno", folder / "study", "--json"]
issues = json.loads(subprocess.run(command, capture_output=True, text=True).stdout)["issues"]["issues"]
errors = {
    name: sorted({issue["code"] for issue in issues if issue["severity"] == "error" and name in issue.get("location", "")})
    for name in sidecars
}
for name, codes in errors.items():
    print(f"{name}: {sidecars[name]}: {', '.join(codes) or 'no error'}")
sys.exit(not (errors["increasing"] and errors["both"] and not errors["short"] and not errors["delay"]))
PYTHON

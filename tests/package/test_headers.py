"""C++ that is documented is installed, compiles and links.

`make test-package` builds the installs that are looked at here; `make docs` the documentation.
"""

import filecmp
import os
import re
import shutil
import subprocess
import sys
import zlib
from collections import Counter
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from public_names import declared, unresolved

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build"
PREFIXES = {"prefix": BUILD / "release" / "prefix", "prefix without CUDA": BUILD / "cpu" / "prefix"}


def wheel():
    python = BUILD / "package" / "venv" / "bin" / "python"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "SKBUILD"))}
    command = [python, "-c", "import brain2music; print(brain2music.cmake_prefix_path)"]
    return Path(subprocess.check_output(command, text=True, cwd="/", env=environment).strip())


def library_of(prefix):
    (library,) = (path for path in prefix.glob("lib*/**/libbrain2music.so") if path.is_file())
    return library


def installed_headers(prefix):
    return {str(path.relative_to(prefix / "include")) for path in (prefix / "include").rglob("*.*")}


def listed_headers():
    text = (ROOT / "libbrain2music" / "CMakeLists.txt").read_text()
    return re.findall(r"brain2music/[\w/]+\.h\b", re.search(r"FILE_SET HEADERS(.*?)\)", text, re.DOTALL)[1])


@pytest.fixture(scope="module")
def prefix():
    return wheel()


@pytest.fixture(scope="module")
def names(prefix):
    return declared(prefix / "include")


def compile_headers(prefix, folder, *arguments):
    """Status and output of a program that includes each header alone."""
    project = ROOT / "tests" / "package" / "headers"
    configure = ["cmake", "-G", "Ninja", "-S", project, "-B", folder, f"-DCMAKE_PREFIX_PATH={prefix}", *arguments]
    configure.append("-DCMAKE_CXX_COMPILER_LAUNCHER=")  # each file is compiled once: a cache would only add to it
    printed = ""
    for command in (configure, ["cmake", "--build", folder, "--", "-k", "0"]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        printed += done.stdout + done.stderr
        if done.returncode:
            break
    return done.returncode, printed


def test_every_header_is_listed_once_and_installed(prefix):
    assert {name: times for name, times in Counter(listed_headers()).items() if times > 1} == {}
    assert installed_headers(prefix) == set(listed_headers())


@pytest.mark.parametrize("install", PREFIXES)
def test_every_install_has_the_same_headers(install, prefix):
    other = PREFIXES[install]
    assert installed_headers(other) == installed_headers(prefix)
    _, differ, unread = filecmp.cmpfiles(
        prefix / "include", other / "include", sorted(installed_headers(prefix)), shallow=False
    )
    assert differ + unread == []


def test_every_header_compiles_alone(prefix):
    # A folder that is kept: what has not changed since the last run is not compiled again.
    status, printed = compile_headers(prefix, BUILD / "package" / "headers")
    assert status == 0, printed
    assert set(re.findall(r"alone: (\S+)", printed)) == set(listed_headers())


@pytest.mark.parametrize("install", ["wheel", *PREFIXES])
def test_everything_that_headers_declare_links(install, prefix, names):
    missing = unresolved(names, library_of(prefix if install == "wheel" else PREFIXES[install]))
    assert missing == [], "declared in an installed header, but not exported"


def test_everything_public_is_described(names):
    wanted = ("class", "struct", "enum", "function")
    assert sorted(str(name) for name in names if name.kind in wanted and not name.described) == []


def documented():
    """C++ names with an entry in the built documentation."""
    inventory = BUILD / "docs" / "html" / "objects.inv"
    assert inventory.is_file(), "run make docs first"
    lines = zlib.decompress(inventory.read_bytes().split(b"\n", 4)[4]).decode().splitlines()
    rows = (re.fullmatch(r"(\S.*?) cpp:(class|struct|enum|function|type) -?\d+ \S+ .*", line) for line in lines)
    return {row[1] for row in rows if row}


def test_documentation_and_headers_agree(names):
    public = {name.qualified for name in names}
    assert sorted(documented() - public) == [], "documented, but in no installed header"
    missing = {name.qualified for name in names if not name.member and name.kind != "variable"} - documented()
    assert sorted(missing) == [], "in an installed header, but not documented"


def test_pages_name_no_header_that_is_not_installed():
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.rst"), *(ROOT / "docs").rglob("*.md")]
    named = {
        (header, page.name) for page in pages for header in re.findall(r"brain2music/[\w/]+\.h\b", page.read_text())
    }
    assert named
    assert {each for each in named if each[0] not in listed_headers()} == set()


# ---- each of these checks can fail ----------------------------------------------------------------------------------


def copy_of(prefix, folder):
    """The install, its library linked to: headers can be broken in it."""
    shutil.copytree(prefix / "include", folder / "include")
    shutil.copytree(prefix / "share", folder / "share")
    for path in prefix.iterdir():
        if path.name.startswith("lib"):
            (folder / path.name).symlink_to(path)
    return folder


def test_a_header_that_lacks_an_include_is_noticed(tmp_path):
    copy = copy_of(PREFIXES["prefix without CUDA"], tmp_path / "prefix")
    header = copy / "include/brain2music/ridge/ridge.h"
    text = header.read_text()
    header.write_text(text.replace("#include <ATen/core/Tensor.h>\n", ""))
    status, printed = compile_headers(copy, tmp_path / "build", "-DONLY=brain2music/ridge/ridge.h")
    assert status != 0
    assert "brain2music/ridge/ridge.h" in printed
    header.write_text(text.replace("#pragma once\n", ""))
    status, printed = compile_headers(copy, tmp_path / "build", "-DONLY=brain2music/ridge/ridge.h")
    assert status != 0
    assert "redefinition" in printed


def test_a_header_that_is_not_installed_is_noticed(tmp_path, names):
    copy = copy_of(PREFIXES["prefix without CUDA"], tmp_path / "prefix")
    (copy / "include/brain2music/ridge/kernel_ridge_cv.h").unlink()
    assert set(listed_headers()) - installed_headers(copy) == {"brain2music/ridge/kernel_ridge_cv.h"}
    gone = {name.qualified for name in names} - {name.qualified for name in declared(copy / "include")}
    assert gone == {"brain2music::ridge::kernel_ridge_cv"}
    assert gone <= documented()


HEADER = """
#pragma once
#include <functional>
#include <map>
#include <string>
#define B2M_API __attribute__((visibility("default")))
/// What a header may declare.
namespace made {
struct Plain { int size() const { return 1; } };
B2M_API int shown(const std::map<std::string, int>& map, const std::function<int(int, int)>& f = {});
B2M_API std::string named(int of);
int hidden(int a);
B2M_API int overloaded(int a);
int overloaded(double a);
int overloaded(int a, int b);
inline int within(int a) { return a; }
constexpr int known(int a) { return a; }
template <class T> int any(T a) { return int(a); }
template <class T> struct Box { int put(T a); };
template <class T> int Box<T>::put(T) { return 0; }
extern int counted;
inline int shared = 2;
constexpr int fixed = 3;
class B2M_API Whole {
 public:
  Whole();
  explicit Whole(int a);
  ~Whole();
  Whole(const Whole&) = delete;
  Whole& operator=(const Whole&) = default;
  static Whole open();
  int operator()(int a, int b) const;
  bool operator<(const Whole& other) const;
  int later() const;
  virtual int abstract() { return 0; }
  static constexpr int size = 3;
  enum class Kind { a, b };
  struct Inner { int deep(int a); };
 private:
  int never_defined();
};
inline int Whole::later() const { return 2; }
struct Partly {
  B2M_API int shown() const;
  B2M_API int shown();
  int lost();
  Partly();
};
}
"""
SOURCE = """
#include "made.h"
namespace made {
int shown(const std::map<std::string, int>&, const std::function<int(int, int)>&) { return 0; }
std::string named(int) { return {}; }
int hidden(int a) { return a; }
int overloaded(int a) { return a; }
int overloaded(double) { return 0; }
int overloaded(int, int) { return 0; }
int counted = 1;
Whole::Whole() = default;
Whole::Whole(int) {}
Whole::~Whole() {}
Whole Whole::open() { return Whole(1); }
int Whole::operator()(int a, int b) const { return a + b; }
bool Whole::operator<(const Whole&) const { return false; }
int Whole::Inner::deep(int a) { return a; }
int Partly::shown() const { return 1; }
int Partly::shown() { return 1; }
int Partly::lost() { return 1; }
Partly::Partly() {}
}
"""


def test_a_symbol_that_is_hidden_is_noticed(tmp_path):
    include = tmp_path / "include"
    include.mkdir()
    (include / "made.h").write_text(HEADER)
    (tmp_path / "made.cpp").write_text(SOURCE.replace("Whole Whole::open() { return Whole(1); }", ""))
    command = [
        os.environ.get("CXX") or "g++",
        "-std=c++20",
        "-O0",
        "-fPIC",
        "-shared",
        "-fvisibility=hidden",
        "-Iinclude",
        "made.cpp",
    ]
    subprocess.run([*command, "-o", "libmade.so"], cwd=tmp_path, check=True)
    assert unresolved(declared(include), tmp_path / "libmade.so") == [
        "made::Partly::Partly of 0 parameters (made.h)",
        "made::Partly::lost of 0 parameters (made.h)",
        "made::Whole::open of 0 parameters (made.h)",
        "made::counted (made.h)",
        "made::hidden of 1 parameters (made.h)",
        "made::overloaded of 1 parameters (made.h)",
        "made::overloaded of 2 parameters (made.h)",
    ]

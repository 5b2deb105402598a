"""What makes the packages for Windows, as far as it can be tried on other systems."""

from __future__ import annotations

import os
import re
import runpy
import stat
import struct
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

import contents
import pictures
from qwen_desktop import paths
from qwen_desktop import windows as product
from tests.packaging import inno
from windows import details, installer, smoke

GIVEN = {"Version": "1.2.3", "Numbers": "1.2.3.0", "Folder": r"C:\folder", "Icon": r"C:\i.ico"}
CHINESE = Path(installer.SCRIPT).with_name("zh-CN.isl")


@pytest.fixture(params=["cpu", "cuda130"])
def script(request):
    return inno.read(installer.SCRIPT, Variant=request.param, **GIVEN)


# -- the script of the installer -------------------------------------------------------------------


def test_nothing_is_compiled_without_a_version():
    for name in (*GIVEN, "Variant"):
        given = {key: value for key, value in {**GIVEN, "Variant": "cpu"}.items() if key != name}
        with pytest.raises(ValueError, match=name):
            inno.read(installer.SCRIPT, **given)


def test_every_directive_parameter_and_flag_is_one_that_inno_setup_knows(script):
    assert set(script.setup) <= inno.SETUP
    for section, known in inno.PARAMETERS.items():
        for entry in script.entries(section):
            assert set(entry) <= known | inno.COMMON
            assert set(entry.get("Flags", "").split()) <= inno.FLAGS.get(section, set())


def test_names_that_stand_in_two_places_are_the_same(script):
    tasks = {entry["Name"] for entry in script.entries("Tasks")}
    languages = {entry["Name"] for entry in script.entries("Languages")}
    text = installer.SCRIPT.read_text("utf-8-sig")
    for section in inno.PARAMETERS:
        for entry in script.entries(section):
            assert {entry["Tasks"]} <= tasks if "Tasks" in entry else True
    asked = set(re.findall(r"\{cm:(\w+)|CustomMessage\('(\w+)'\)", text))
    own = {name for language in languages for name in _messages(script, language)}
    standard = {"CreateDesktopIcon", "AdditionalIcons", "LaunchProgram"}
    assert {one or other for one, other in asked} == own | standard
    assert all(_messages(script, language) == own for language in languages)
    functions = set(re.findall(r"^(?:function|procedure) (\w+)", script.code, re.MULTILINE))
    called = set(re.findall(r"\{code:(\w+)\}", text)) | {"IsInPath"}
    assert called <= functions
    assert inno.EVENTS & functions == {"CurUninstallStepChanged"}


def _messages(script, language):
    return {key.partition(".")[2] for key in script.messages if key.startswith(f"{language}.")}


def test_constants_exist(script):
    for section in inno.PARAMETERS:
        for entry in script.entries(section):
            for value in entry.values():
                names = re.findall(r"\{(?!\{)([a-z]+)\}", value)
                assert set(names) <= inno.CONSTANTS
    assert set(re.findall(r"ExpandConstant\('\{(\w+)\}", script.code)) <= inno.CONSTANTS


def test_blocks_of_the_code_end(script):
    words = re.findall(r"\b(begin|end|case|try)\b", re.sub(r"'[^'\n]*'", "", script.code))
    assert words.count("end") == len(words) - words.count("end")
    assert script.code.count("(") == script.code.count(")")


def test_it_is_for_one_user_and_64_bits_and_starts_from_the_menu(script):
    assert script.setup["PrivilegesRequired"] == "lowest"
    assert script.setup["ArchitecturesAllowed"] == "x64compatible"
    menu = script.entries("Icons")[0]
    assert menu["Name"].startswith("{autoprograms}\\")
    assert "Tasks" not in menu
    for entry in script.entries("Registry"):
        assert entry["Root"] in ("HKA", "HKCU")  # both are the user's own, without an administrator


def test_it_can_find_the_version_before(script):
    assert script.setup["AppId"] == "{{6B0E5A3C-52C4-4B0B-9A54-0C6D9B2C7F18}"
    assert script.entries("InstallDelete")[0]["Name"] == r"{app}\_internal"


def test_what_is_too_large_for_one_program_lies_beside_it():
    one = inno.read(installer.SCRIPT, Variant="cpu", **GIVEN)
    assert "DiskSpanning" not in one.setup
    many = inno.read(installer.SCRIPT, Variant="cuda130", **GIVEN)
    assert many.setup["DiskSpanning"] == "yes"
    assert 262_144 <= int(many.setup["DiskSliceSize"]) <= 2_100_000_000


def test_files_open_with_the_program_that_is_installed(script):
    commands = [
        entry["ValueData"]
        for entry in script.entries("Registry")
        if entry["Subkey"].endswith(r"shell\open\command")
    ]
    assert set(commands) == {r'"{app}\Qwen Desktop.exe" open "%1"'}
    types = {
        entry["Subkey"]: entry["ValueData"]
        for entry in script.entries("Registry")
        if entry["Subkey"].startswith(r"Software\Classes\.") and not entry["ValueName"]
    }
    assert types == {r"Software\Classes\.qwenprofile": "QwenDesktop.Profile"}  # and no .json


def test_what_was_registered_goes_again(script):
    """A key is removed itself, or with one that is above it."""
    entries = script.entries("Registry")
    removed = {entry["Subkey"] for entry in entries if "uninsdeletekey" in entry.get("Flags", "")}
    for entry in entries:
        key = entry["Subkey"]
        above = {key[:at] for at in range(len(key)) if key[at] == "\\"} | {key}
        values = "uninsdeletevalue" in entry.get("Flags", "")
        assert above & removed or values or key == "Environment"
    assert "LeavePath()" in script.code.partition("usUninstall")[2]


def test_the_uninstaller_keeps_the_chats_unless_asked(script):
    code = " ".join(script.code.split())
    assert code.count("DelTree(") == 1
    assert "if MayRemoveData() then DelTree(DataFolder(), True, True, True)" in code
    assert "else if UninstallSilent() then Result := False" in code
    assert "mbConfirmation, MB_YESNO or MB_DEFBUTTON2, IDNO) = IDYES" in code
    removed = [entry["Name"] for entry in script.entries("UninstallDelete")]
    assert removed == [r"{app}\_internal"]


def test_the_data_folder_is_the_one_of_the_program(script, monkeypatch):
    pytest.importorskip("platformdirs.windows")
    from platformdirs import windows as system

    monkeypatch.setattr(sys, "platform", "win32")
    name = runpy.run_path(paths.__file__)["APP_DIR_NAME"]
    monkeypatch.undo()
    monkeypatch.setattr(system, "get_win_folder", lambda _: r"C:\Users\me\AppData\Local")
    folder = system.Windows(name, appauthor=False).user_data_dir
    told = re.search(r"\{localappdata\}\\([^']+)'", script.code)
    assert PureWindowsPath(folder.replace("/", "\\")).parts[-2:] == ("Local", told[1])


def test_the_program_and_its_installer_know_each_other(script):
    assert script.setup["AppMutex"] == product.RUNNING_MUTEX
    assert {entry["AppUserModelID"] for entry in script.entries("Icons")} == {
        product.APP_USER_MODEL_ID
    }
    spec = (contents.ROOT / "build_installer.spec").read_text("utf-8")
    for name in (script.defined["Program"], script.defined["Terminal"]):
        assert f'program("{name.removesuffix(".exe")}"' in spec


def test_the_chinese_file_says_everything_in_chinese():
    content = CHINESE.read_bytes()
    assert content.startswith(b"\xef\xbb\xbf")
    section, found = "", {}
    for line in content.decode("utf-8-sig").splitlines():
        if line.startswith("["):
            section = line
        elif "=" in line and section != "[LangOptions]":
            key, text = line.split("=", 1)
            assert key not in found
            found[key] = text
    assert len(found) > 150
    for key, text in found.items():
        bare = re.sub(r"%[1-9n]|\[\w+(/\w+)?\]|[\w:\\]+|\W", "", text)
        is_chinese = any("\u4e00" <= one <= "\u9fff" for one in text)
        assert is_chinese or not bare
        assert len(re.findall(r"\(&\w\)", text)) == text.count("&")
        assert key.startswith(("Button", "Name")) or "..." not in text
    default = _default_messages()
    for key in found.keys() & default.keys():
        assert _places(found[key]) == _places(default[key])


def _places(text):
    return set(re.findall(r"%[1-9]|\[\w+(?:/\w+)?\]", text))


def _default_messages():
    """Those of the compiler, where it is installed."""
    compiler = installer.compiler()
    file = compiler.with_name("Default.isl") if compiler else None
    if file is None or not file.is_file():
        return {}
    lines = file.read_text("utf-8-sig", errors="replace").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith(";"))


# -- the call of the compiler ----------------------------------------------------------------------


def test_the_compiler_is_looked_for_where_it_installs_itself(tmp_path):
    assert installer.compiler({"PATH": "", "LOCALAPPDATA": str(tmp_path)}) is None
    place = tmp_path / "Programs" / "Inno Setup 6"
    place.mkdir(parents=True)
    (place / "ISCC.exe").touch()
    assert installer.compiler({"PATH": "", "LOCALAPPDATA": str(tmp_path)}) == place / "ISCC.exe"
    named = {"ISCC": str(tmp_path / "x"), "LOCALAPPDATA": str(tmp_path)}
    assert installer.compiler(named) == tmp_path / "x"


@pytest.fixture
def iscc(tmp_path, monkeypatch):
    """A compiler that writes down how it was called, and makes what it was asked for."""
    file = tmp_path / "iscc"
    file.write_text(
        f"#!{sys.executable}\n"
        "import pathlib, sys\n"
        f"pathlib.Path({str(tmp_path / 'said')!r}).write_text('\\n'.join(sys.argv[1:]))\n"
        "if pathlib.Path(__file__).with_name('broken').exists():\n"
        "    print('Error on line 7'); sys.exit(2)\n"
        "out = {a[:2]: a[2:] for a in sys.argv if a[:2] in ('/O', '/F')}\n"
        "pathlib.Path(out['/O'], out['/F'] + '.exe').write_bytes(b'MZ')\n",
        "utf-8",
    )
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("ISCC", str(file))
    return file


@pytest.mark.skipif(os.name == "nt", reason="a script is no program there")
def test_the_installer_is_named_after_what_is_inside(iscc, tmp_path):
    made = installer.build(tmp_path / "app", tmp_path, tmp_path)
    version, variant = contents.version(), contents.variant()
    assert made.name == f"qwen-desktop-{version}-windows-x86_64-{variant}-setup.exe"
    assert made.read_bytes() == b"MZ"
    words = (tmp_path / "said").read_text("utf-8").splitlines()
    given = dict(word[2:].split("=", 1) for word in words if word.startswith("/D"))
    script = inno.read(Path(words[-1]), **given)
    assert script.setup["AppVersion"] == version
    assert script.entries("Files")[0]["Source"] == f"{tmp_path / 'app'}\\*"
    assert script.setup["SetupIconFile"] == str(tmp_path / "qwen-desktop.ico")


@pytest.mark.skipif(os.name == "nt", reason="a script is no program there")
def test_what_the_compiler_says_is_told(iscc, tmp_path):
    (tmp_path / "broken").touch()
    with pytest.raises(SystemExit, match="Error on line 7"):
        installer.build(tmp_path / "app", tmp_path, tmp_path)


def test_a_missing_compiler_is_told_with_how_to_get_it(tmp_path, monkeypatch):
    for name in ("ISCC", *installer._PLACES):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SystemExit, match="winget install"):
        installer.build(tmp_path / "app", tmp_path, tmp_path)


# -- what is inside the programs -------------------------------------------------------------------


@given(
    st.lists(st.integers(0, 65535), min_size=1, max_size=3), st.sampled_from(["", "rc1", ".dev0"])
)
def test_versions_are_four_numbers_that_compare_as_they_do(parts, end):
    found = details.numbers(".".join(map(str, parts)) + (end if len(parts) == 3 else ""))
    assert found == (*parts, *[0] * (4 - len(parts)))


def test_the_version_resource_says_what_the_program_is():
    class Piece:
        def __init__(self, *values, **named):
            self.values, self.named = values, named

    names = ("VSVersionInfo", "FixedFileInfo", "StringFileInfo", "StringTable", "StringStruct")
    known = {name: type(name, (Piece,), {}) for name in (*names, "VarFileInfo", "VarStruct")}
    resource = eval(details.version_resource("qwen-desktop", "Qwen Desktop"), known)
    assert resource.named["ffi"].named["filevers"] == details.numbers(contents.version())
    texts, languages = resource.named["kids"]
    table = texts.values[0][0]
    words = {piece.values[0]: piece.values[1] for piece in table.values[1]}
    assert words["ProductVersion"] == contents.version()
    assert words["OriginalFilename"] == "qwen-desktop.exe"
    name, codes = languages.values[0][0].values
    assert (name, table.values[0]) == ("Translation", "{:04x}{:04x}".format(*codes))


def test_the_manifest_asks_for_no_rights_and_for_sharp_text_and_long_paths():
    root = ElementTree.parse(details.MANIFEST).getroot()
    values = {one.tag.partition("}")[2]: one for one in root.iter()}
    assert values["requestedExecutionLevel"].get("level") == "asInvoker"
    assert values["longPathAware"].text == "true"
    assert values["dpiAwareness"].text.startswith("PerMonitorV2")
    assert values["activeCodePage"].text == "UTF-8"
    for name in ("longPathAware", "dpiAwareness", "activeCodePage"):
        space = values[name].tag.partition("}")[0].strip("{")
        assert re.fullmatch(
            r"http://schemas\.microsoft\.com/SMI/20\d\d/WindowsSettings", space
        )  # each setting has the year that it came in
    winmanifest = pytest.importorskip("PyInstaller.utils.win32.winmanifest")
    made = winmanifest.create_application_manifest(details.MANIFEST.read_bytes())
    assert b"PerMonitorV2" in made


def test_the_icon_has_all_sizes(qapp, tmp_path):
    pictures.ico(tmp_path / "a.ico")
    content = (tmp_path / "a.ico").read_bytes()
    reserved, kind, count = struct.unpack_from("<HHH", content)
    assert (reserved, kind, count) == (0, 1, 7)
    sizes = []
    for at in range(count):
        edge, _, _, _, planes, bits, length, start = struct.unpack_from(
            "<BBBBHHII", content, 6 + 16 * at
        )
        assert (planes, bits) == (1, 32)
        picture = content[start : start + length]
        assert picture.startswith(b"\x89PNG")
        width, height = struct.unpack_from(">II", picture, 16)
        assert width == height == (edge or 256)
        sizes.append(width)
    assert sizes == [16, 24, 32, 48, 64, 128, 256]


# -- the trial of the installer --------------------------------------------------------------------


class System:
    """Does to folders what Windows, the installer and the program would."""

    def __init__(self, data, *, keeps=True, leaves=(), chats=2):
        self.data, self.keeps, self.leaves, self.chats = data, keeps, leaves, chats
        self.said: list[list[str]] = []

    def __call__(self, command, variables):
        assert variables["QT_QPA_PLATFORM"] == "offscreen"
        self.said.append(list(command))
        name, rest = Path(command[0]).name, command[1:]
        if name == "setup.exe":
            self.folder = Path(next(w[5:] for w in rest if w.startswith("/DIR=")))
            self.folder.mkdir()
            for file in ("qwen-desktop.exe", "Qwen Desktop.exe", "unins000.exe"):
                (self.folder / file).touch()
        elif name == "unins000.exe":
            for file in self.folder.iterdir():
                if file.name not in self.leaves:
                    file.unlink()
            if not self.leaves:
                self.folder.rmdir()
            if not self.keeps:
                (self.data / "conversations.db").unlink()
        elif "--ask" in rest or "--headless" in rest:
            self.data.mkdir(exist_ok=True)
            (self.data / "conversations.db").touch()
        elif "export" in rest:
            Path(rest[-1]).mkdir()
            for number in range(self.chats):
                Path(rest[-1], f"{number}.qwenchat.json").touch()
        return 0, f"Qwen Desktop {contents.version()}"


def test_the_installer_is_tried_from_the_first_to_the_last_step(tmp_path, capsys):
    system = System(tmp_path / "data")
    assert smoke.run({"setup": Path("setup.exe")}, system, tmp_path / "data") == 0
    assert (tmp_path / "data" / "conversations.db").exists()
    assert Path(system.said[0][0]).name == "setup.exe"
    assert "the chats are kept" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("wrong", "why"),
    [({"keeps": False}, "the chats are gone"), ({"chats": 1}, "1 chats are there, of 2")],
)
def test_a_trial_that_went_wrong_is_told(tmp_path, wrong, why):
    with pytest.raises(SystemExit, match=why):
        smoke.run({"setup": Path("setup.exe")}, System(tmp_path / "d", **wrong), tmp_path / "d")


def test_nobody_s_data_is_used_for_a_trial(tmp_path):
    with pytest.raises(SystemExit, match="somebody's data"):
        smoke.run({"setup": Path("setup.exe")}, System(tmp_path), tmp_path)
    with pytest.raises(SystemExit, match="setup program"):
        smoke.run({}, System(tmp_path), tmp_path / "none")

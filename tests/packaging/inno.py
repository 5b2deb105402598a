"""Reads scripts of Inno Setup, as far as the tests need it. Facts are from its documentation."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

# Directives of [Setup] that Inno Setup 6.3 knows and this script may use.
_SETUP = """
    AppCopyright AppId AppMutex AppName AppPublisher AppVerName AppVersion ArchitecturesAllowed
    ArchitecturesInstallIn64BitMode ChangesAssociations ChangesEnvironment CloseApplications
    Compression DefaultDirName DisableDirPage DisableProgramGroupPage DisableWelcomePage
    DiskSliceSize DiskSpanning LZMAUseSeparateProcess MinVersion PrivilegesRequired
    RestartApplications SetupIconFile SetupMutex ShowLanguageDialog SolidCompression
    UninstallDisplayIcon UninstallDisplayName UsePreviousTasks VersionInfoDescription
    VersionInfoProductTextVersion VersionInfoVersion WizardStyle
"""
SETUP = frozenset(_SETUP.split())
# Parameters of the entries of sections, beside those of all of them.
COMMON = {"Tasks", "Check", "Flags"}
PARAMETERS = {
    "Languages": {"Name", "MessagesFile"},
    "Tasks": {"Name", "Description", "GroupDescription"},
    "InstallDelete": {"Type", "Name"},
    "UninstallDelete": {"Type", "Name"},
    "Files": {"Source", "DestDir"},
    "Icons": {"Name", "Filename", "WorkingDir", "AppUserModelID"},
    "Registry": {"Root", "Subkey", "ValueType", "ValueName", "ValueData"},
    "Run": {"Filename", "Description", "WorkingDir"},
}
FLAGS = {
    "Tasks": {"unchecked", "checkedonce", "exclusive", "restart", "dontinheritcheck"},
    "Files": {"ignoreversion", "recursesubdirs", "createallsubdirs", "solidbreak"},
    "Registry": {"uninsdeletevalue", "uninsdeletekey", "uninsdeletekeyifempty"},
    "Run": {"nowait", "postinstall", "skipifsilent", "unchecked"},
}
CONSTANTS = {
    "app",
    "autodesktop",
    "autopf",
    "autoprograms",
    "localappdata",
    "userdocs",
}
EVENTS = {"InitializeSetup", "CurStepChanged", "InitializeUninstall", "CurUninstallStepChanged"}
_PARAMETER = re.compile(r'\s*(\w+):\s*("(?:[^"]|"")*"|[^;"]*)\s*(?:;|$)')


@dataclass
class Script:
    """A script after its preprocessor: sections with their lines, and the code."""

    defined: dict[str, str]
    lines: dict[str, list[str]] = field(default_factory=dict)

    @property
    def setup(self) -> dict[str, str]:
        """Directives of [Setup]."""
        return dict(line.split("=", 1) for line in self.lines["Setup"])

    def entries(self, section: str) -> list[dict[str, str]]:
        """The entries of a section: parameters and their values, without quotes."""
        return [_parameters(line) for line in self.lines.get(section, [])]

    @property
    def messages(self) -> dict[str, str]:
        """[CustomMessages]."""
        return dict(line.split("=", 1) for line in self.lines["CustomMessages"])

    @property
    def code(self) -> str:
        """[Code], without comments."""
        return re.sub(r"(?m)^\s*\{[^}]*\}\s*$", "", "\n".join(self.lines["Code"]))


def _parameters(line: str) -> dict[str, str]:
    found: dict[str, str] = {}
    at = 0
    while at < len(line):
        match = _PARAMETER.match(line, at)
        assert match, f"no parameter: {line[at:]}"
        assert match[1] not in found, f"{match[1]} twice: {line}"
        value = match[2].strip()
        quoted = value.startswith('"')
        found[match[1]] = value[1:-1].replace('""', '"') if quoted else value
        at = match.end()
    return found


def read(file: Path, **given: str) -> Script:
    """A script as it is compiled with `given` defined on the command line."""
    content = file.read_bytes()
    assert content.startswith(b"\xef\xbb\xbf"), "Inno Setup takes it for text of a code page"
    script = Script(dict(given))
    section, on = "", [True]
    for line in content.decode("utf-8-sig").splitlines():
        word, _, rest = line.strip().partition(" ")
        if word == "#ifndef":
            on.append(on[-1] and rest not in script.defined)
        elif word == "#if":
            name, _, value = rest.partition(" != ")
            on.append(on[-1] and script.defined[name] != value.strip('"'))
        elif word == "#endif":
            on.pop()
        elif not on[-1]:
            continue
        elif word == "#error":
            raise ValueError(rest)
        elif word == "#define":
            name, _, value = rest.partition(" ")
            script.defined[name] = value.strip('"')
        elif line.startswith("["):
            section = line.strip("[]")
            script.lines.setdefault(section, [])
        elif section == "Code" or (line.strip() and not line.lstrip().startswith(";")):
            script.lines[section].append(_filled(line, script.defined))
    assert on == [True], "an #if without its #endif"
    return script


def _filled(line: str, defined: dict[str, str]) -> str:
    line = re.sub(r"\{#StringChange\((\w+), '&', '&&'\)\}", r"{#\1}", line)
    return re.sub(r"\{#(\w+)\}", lambda match: defined[match[1]], line)

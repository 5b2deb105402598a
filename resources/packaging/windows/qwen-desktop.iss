; The installer for Windows. `python dev.py package` compiles it with Inno Setup 6.3 or later and
; says on the command line what it needs:
;   /DVersion=0.1.0   as in qwen_desktop/__init__.py
;   /DNumbers=0.1.0.0 the same for Windows to compare
;   /DVariant=cpu     which build of torch is inside
;   /DFolder=PATH     the application folder
;   /DIcon=PATH       the icon of the program
; What is kept, registered and removed: docs/packaging.md.

#ifndef Version
  #error Version is missing: use "python dev.py package".
#endif
#ifndef Numbers
  #error Numbers is missing: use "python dev.py package".
#endif
#ifndef Variant
  #error Variant is missing: use "python dev.py package".
#endif
#ifndef Folder
  #error Folder is missing: use "python dev.py package".
#endif
#ifndef Icon
  #error Icon is missing: use "python dev.py package".
#endif

#define Name "Qwen Desktop"
#define Program "Qwen Desktop.exe"
#define Terminal "qwen-desktop.exe"
; As in qwen_desktop/windows.py.
#define AppUserModelID "QwenDesktop"
#define Mutex "QwenDesktopRuns"

[Setup]
; Never changes: by it an installer finds the version that it replaces.
AppId={{6B0E5A3C-52C4-4B0B-9A54-0C6D9B2C7F18}
AppName={#Name}
AppVersion={#Version}
AppVerName={#Name} {#Version}
AppPublisher={#Name}
AppCopyright=Apache-2.0
VersionInfoVersion={#Numbers}
VersionInfoProductTextVersion={#Version}
VersionInfoDescription={#Name} Setup
; For this user alone: no administrator is asked.
PrivilegesRequired=lowest
DefaultDirName={autopf}\{#Name}
DisableDirPage=auto
DisableProgramGroupPage=yes
DisableWelcomePage=yes
UsePreviousTasks=yes
; Qt needs Windows 10 1809; torch and Qt exist for 64-bit processors only.
MinVersion=10.0.17763
ArchitecturesAllowed=x64compatible
ArchitecturesInstallIn64BitMode=x64compatible
; What is open is closed before its files are replaced; the mutex is for the uninstaller.
AppMutex={#Mutex}
SetupMutex={#Mutex}Setup
CloseApplications=yes
RestartApplications=no
ChangesAssociations=yes
ChangesEnvironment=yes
Compression=lzma2/max
LZMAUseSeparateProcess=yes
SolidCompression=yes
#if Variant != "cpu"
; Windows starts no program of 4 GiB: with CUDA the content lies in files beside the installer.
DiskSpanning=yes
DiskSliceSize=2000000000
#endif
SetupIconFile={#Icon}
UninstallDisplayName={#Name}
UninstallDisplayIcon={app}\{#Program}
WizardStyle=modern
ShowLanguageDialog=auto

[Languages]
Name: "en"; MessagesFile: "compiler:Default.isl"
; What is not in the second file is said in English.
Name: "zh"; MessagesFile: "compiler:Default.isl,zh-CN.isl"

[CustomMessages]
en.InTheTerminal=Run "qwen-desktop" in every terminal (adds its folder to PATH)
zh.InTheTerminal=在任何终端中都可运行“qwen-desktop”（将其文件夹加入 PATH）
en.Terminal=Terminal:
zh.Terminal=终端：
en.ProfileType=Qwen Desktop profile
zh.ProfileType=Qwen Desktop 配置文件
en.ChatType=Qwen Desktop chat
zh.ChatType=Qwen Desktop 聊天
en.RemoveData=Your chats, settings and downloaded models are still here:%n%n%1%n%nDo you want to delete them too? This cannot be undone. If you keep them, they are there again when you install %2 again.
zh.RemoveData=您的聊天、设置和已下载的模型仍在这里：%n%n%1%n%n是否也要删除它们？此操作无法撤销。如果保留，重新安装 %2 后即可继续使用。

[Tasks]
Name: "desktopicon"; Description: "{cm:CreateDesktopIcon}"; GroupDescription: "{cm:AdditionalIcons}"; Flags: unchecked
Name: "path"; Description: "{cm:InTheTerminal}"; GroupDescription: "{cm:Terminal}"; Flags: unchecked

[InstallDelete]
; Modules of the version before must not be found by this one.
Type: filesandordirs; Name: "{app}\_internal"

[Files]
Source: "{#Folder}\*"; DestDir: "{app}"; Flags: ignoreversion recursesubdirs createallsubdirs

[Icons]
Name: "{autoprograms}\{#Name}"; Filename: "{app}\{#Program}"; WorkingDir: "{userdocs}"; AppUserModelID: "{#AppUserModelID}"
Name: "{autodesktop}\{#Name}"; Filename: "{app}\{#Program}"; WorkingDir: "{userdocs}"; AppUserModelID: "{#AppUserModelID}"; Tasks: desktopicon

[Registry]
; Saved profiles open by a double click.
Root: HKA; Subkey: "Software\Classes\.qwenprofile"; ValueType: string; ValueName: ""; ValueData: "QwenDesktop.Profile"; Flags: uninsdeletevalue uninsdeletekeyifempty
Root: HKA; Subkey: "Software\Classes\.qwenprofile\OpenWithProgids"; ValueType: string; ValueName: "QwenDesktop.Profile"; ValueData: ""; Flags: uninsdeletevalue uninsdeletekeyifempty
Root: HKA; Subkey: "Software\Classes\QwenDesktop.Profile"; ValueType: string; ValueName: ""; ValueData: "{cm:ProfileType}"; Flags: uninsdeletekey
Root: HKA; Subkey: "Software\Classes\QwenDesktop.Profile\DefaultIcon"; ValueType: string; ValueName: ""; ValueData: "{app}\{#Program},0"
Root: HKA; Subkey: "Software\Classes\QwenDesktop.Profile\shell\open\command"; ValueType: string; ValueName: ""; ValueData: """{app}\{#Program}"" open ""%1"""
; Saved chats end in .qwenchat.json. Windows looks at what is behind the last dot alone: all that
; can be had without taking every .json file from its program is a place under "Open with".
Root: HKA; Subkey: "Software\Classes\.json\OpenWithProgids"; ValueType: string; ValueName: "QwenDesktop.Chat"; ValueData: ""; Flags: uninsdeletevalue uninsdeletekeyifempty
Root: HKA; Subkey: "Software\Classes\QwenDesktop.Chat"; ValueType: string; ValueName: ""; ValueData: "{cm:ChatType}"; Flags: uninsdeletekey
Root: HKA; Subkey: "Software\Classes\QwenDesktop.Chat\DefaultIcon"; ValueType: string; ValueName: ""; ValueData: "{app}\{#Program},0"
Root: HKA; Subkey: "Software\Classes\QwenDesktop.Chat\shell\open\command"; ValueType: string; ValueName: ""; ValueData: """{app}\{#Program}"" open ""%1"""
Root: HKA; Subkey: "Software\Classes\Applications\{#Program}"; ValueType: string; ValueName: "FriendlyAppName"; ValueData: "{#Name}"; Flags: uninsdeletekey
Root: HKA; Subkey: "Software\Classes\Applications\{#Program}\shell\open\command"; ValueType: string; ValueName: ""; ValueData: """{app}\{#Program}"" open ""%1"""
Root: HKA; Subkey: "Software\Classes\Applications\{#Program}\SupportedTypes"; ValueType: string; ValueName: ".json"; ValueData: ""
Root: HKA; Subkey: "Software\Classes\Applications\{#Program}\SupportedTypes"; ValueType: string; ValueName: ".qwenprofile"; ValueData: ""
; "qwen-desktop" in the Run dialog.
Root: HKA; Subkey: "Software\Microsoft\Windows\CurrentVersion\App Paths\{#Terminal}"; ValueType: string; ValueName: ""; ValueData: "{app}\{#Terminal}"; Flags: uninsdeletekey
Root: HKCU; Subkey: "Environment"; ValueType: expandsz; ValueName: "Path"; ValueData: "{code:PathWithFolder}"; Tasks: path; Check: not IsInPath

[Run]
Filename: "{app}\{#Program}"; Description: "{cm:LaunchProgram,{#StringChange(Name, '&', '&&')}}"; WorkingDir: "{userdocs}"; Flags: nowait postinstall skipifsilent

[UninstallDelete]
; Python leaves byte code beside modules that lie there as files.
Type: filesandordirs; Name: "{app}\_internal"

[Code]
const
  EnvironmentKey = 'Environment';

{ The user's own PATH; empty where there is none. }
function UserPath(): String;
begin
  if not RegQueryStringValue(HKEY_CURRENT_USER, EnvironmentKey, 'Path', Result) then
    Result := '';
end;

{ Whether two entries of PATH name one folder. }
function IsSameFolder(const One, Other: String): Boolean;
begin
  Result := CompareText(RemoveBackslashUnlessRoot(Trim(One)),
    RemoveBackslashUnlessRoot(Trim(Other))) = 0;
end;

{ PATH without Folder; the order of the rest stays. }
function PathWithout(Path: String; const Folder: String): String;
var
  At: Integer;
  Entry: String;
begin
  Result := '';
  while Path <> '' do
  begin
    At := Pos(';', Path);
    if At = 0 then
      At := Length(Path) + 1;
    Entry := Copy(Path, 1, At - 1);
    Delete(Path, 1, At);
    if (Entry <> '') and not IsSameFolder(Entry, Folder) then
    begin
      if Result <> '' then
        Result := Result + ';';
      Result := Result + Entry;
    end;
  end;
end;

function IsInPath(): Boolean;
var
  Path: String;
begin
  Path := UserPath();
  Result := CompareText(PathWithout(Path, ExpandConstant('{app}')), PathWithout(Path, '')) <> 0;
end;

function PathWithFolder(Param: String): String;
begin
  Result := PathWithout(UserPath(), ExpandConstant('{app}'));
  if Result <> '' then
    Result := Result + ';';
  Result := Result + ExpandConstant('{app}');
end;

procedure LeavePath();
var
  Before, After: String;
begin
  Before := UserPath();
  if Before = '' then
    Exit;
  After := PathWithout(Before, ExpandConstant('{app}'));
  if CompareText(After, PathWithout(Before, '')) = 0 then
    Exit;
  if After = '' then
    RegDeleteValue(HKEY_CURRENT_USER, EnvironmentKey, 'Path')
  else
    RegWriteExpandStringValue(HKEY_CURRENT_USER, EnvironmentKey, 'Path', After);
end;

{ Chats, settings and models. As default_profile() of qwen_desktop/paths.py says. }
function DataFolder(): String;
begin
  Result := ExpandConstant('{localappdata}\{#Name}');
end;

{ Asked for by /DELETEDATA on the command line of the uninstaller. }
function IsDataToGo(): Boolean;
var
  Index: Integer;
begin
  Result := False;
  for Index := 1 to ParamCount do
    if CompareText(ParamStr(Index), '/DELETEDATA') = 0 then
      Result := True;
end;

{ The answer where nobody is asked, and the button that Enter presses, is No. }
function MayRemoveData(): Boolean;
var
  Question: String;
begin
  if IsDataToGo() then
    Result := True
  else if UninstallSilent() then
    Result := False
  else
  begin
    Question := FmtMessage(CustomMessage('RemoveData'), [DataFolder(), '{#Name}']);
    Result := SuppressibleMsgBox(Question, mbConfirmation, MB_YESNO or MB_DEFBUTTON2, IDNO) = IDYES;
  end;
end;

procedure CurUninstallStepChanged(CurUninstallStep: TUninstallStep);
begin
  if CurUninstallStep = usUninstall then
    LeavePath();
  if (CurUninstallStep = usPostUninstall) and DirExists(DataFolder()) then
    if MayRemoveData() then
      DelTree(DataFolder(), True, True, True);
end;

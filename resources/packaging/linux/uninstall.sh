#!/bin/sh
# Removes what install.sh installed. Your chats, in ~/.local/share/qwen-desktop, stay.
set -eu

app=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
case $app in
*/lib/qwen-desktop) prefix=${app%/lib/qwen-desktop} ;;
*) echo "Start the uninstall.sh in FOLDER/lib/qwen-desktop of an installation." >&2; exit 1 ;;
esac

while IFS= read -r file; do
    rm -f -- "$prefix/share/$file"
done <"$app/shared-files"
if [ "$(readlink -- "$prefix/bin/qwen-desktop" || true)" = ../lib/qwen-desktop/qwen-desktop ]; then
    rm -f -- "$prefix/bin/qwen-desktop"
fi

refresh() {
    if command -v "$1" >/dev/null 2>&1; then "$@" >/dev/null 2>&1 || true; fi
}
refresh update-desktop-database -q "$prefix/share/applications"
if [ -d "$prefix/share/mime/packages" ]; then
    refresh update-mime-database "$prefix/share/mime"
fi
# Folders that nothing else has put anything into. The lists that the tools above make for the
# whole folder are no use without an entry.
if [ -z "$(find "$prefix/share/applications" -name '*.desktop' 2>/dev/null | head -n 1)" ]; then
    rm -f -- "$prefix/share/applications/mimeinfo.cache"
fi
if [ -z "$(find "$prefix/share/mime/packages" -type f 2>/dev/null | head -n 1)" ]; then
    rm -rf -- "$prefix/share/mime"
fi
if [ -z "$(find "$prefix/share/icons/hicolor" -type f ! -name 'icon-theme.cache' 2>/dev/null | head -n 1)" ]; then
    rm -f -- "$prefix/share/icons/hicolor/icon-theme.cache"
fi
rm -rf -- "$app"
for folder in share/applications share/metainfo share/icons bin lib share; do
    if [ -d "$prefix/$folder" ]; then
        find "$prefix/$folder" -depth -type d -empty -delete 2>/dev/null || true
    fi
done
echo "Removed. Your chats and settings are kept."

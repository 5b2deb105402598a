#!/bin/sh
# Installs Qwen Desktop for you alone, without root: sh install.sh [FOLDER]
#
# FOLDER is ~/.local if you name no other. The program goes to FOLDER/lib/qwen-desktop, its command
# to FOLDER/bin, its menu entry, icons and file type to FOLDER/share. Your chats lie elsewhere, in
# ~/.local/share/qwen-desktop: neither this nor uninstall.sh touches them.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
prefix=${1:-"${HOME:?}/.local"}
mkdir -p -- "$prefix"
prefix=$(CDPATH='' cd -- "$prefix" && pwd -P)
app=$prefix/lib/qwen-desktop

case $prefix in
*[\"\`\$\\]*) echo "A folder with one of \" \` \$ \\ in its name does not work in menus." >&2; exit 1 ;;
esac
if [ -e "$app" ] && [ ! -e "$app/uninstall.sh" ]; then
    echo "$app is there and was not made by this script: nothing is changed." >&2
    exit 1
fi

mkdir -p -- "$prefix/lib" "$prefix/bin" "$prefix/share"
# First beside the old version, then in its place: an interrupted copy leaves the old one whole.
rm -rf -- "$app.new" "$app.old"
cp -R -- "$here/app" "$app.new"
cp -- "$here/uninstall.sh" "$app.new/uninstall.sh"
(cd -- "$here/share" && find . -type f) >"$app.new/shared-files"
if [ -e "$app" ]; then mv -- "$app" "$app.old"; fi
mv -- "$app.new" "$app"
rm -rf -- "$app.old"

ln -sf -- ../lib/qwen-desktop/qwen-desktop "$prefix/bin/qwen-desktop"
cp -R -- "$here/share/." "$prefix/share/"
# Menus start programs by their path: ~/.local/bin is not everywhere where commands are looked for.
entry=$prefix/share/applications/qwen-desktop.desktop
escaped=$(printf '%s' "$prefix" | sed 's/[&|%]/\\&/g; s/\\%/%%/g')
sed "s|^Exec=qwen-desktop|Exec=\"$escaped/bin/qwen-desktop\"|" \
    "$here/share/applications/qwen-desktop.desktop" >"$entry.new"
mv -- "$entry.new" "$entry"

refresh() {
    if command -v "$1" >/dev/null 2>&1; then "$@" >/dev/null 2>&1 || true; fi
}
refresh update-desktop-database -q "$prefix/share/applications"
refresh update-mime-database "$prefix/share/mime"
refresh gtk-update-icon-cache -q -t -f "$prefix/share/icons/hicolor"

echo "Installed. Start it from the menu, or with: $prefix/bin/qwen-desktop"
echo "To remove it: sh \"$app/uninstall.sh\""

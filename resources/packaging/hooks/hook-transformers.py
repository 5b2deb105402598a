"""Takes the place of the hook of pyinstaller-hooks-contrib, which copies all sources, 49 MB.

Which of them are read at run time says `contents.sources`; metadata is copied by `contents.data`.
"""

module_collection_mode = "pyz"

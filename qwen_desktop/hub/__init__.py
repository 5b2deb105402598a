"""The hubs: lists repositories, downloads what a load needs, verifies what came. No Qt, no torch.

Values are in `chat/hub.py`, addresses are understood by `chat/hub_address.py`. Every call here may
block for as long as a network does, so it belongs on a thread of its own; every call that does
takes a `threading.Event` that ends it (`errors.Cancelled`). Trouble is an `errors.Known`. Nothing
is asked of a network but by `fetch_listing` and `Download.run`.

    endpoints.endpoint(hub, address="", token=None, proxy="") -> Endpoint
        address "": HF_ENDPOINT or MODELSCOPE_DOMAIN, else the hub's own; token None: from the
        environment, the hub's own token file or the system's keyring
    endpoints.saved_token(hub) / save_token(hub, token) / forget_token(hub)
    listing.fetch_listing(endpoint, repository, revision="", cancel=None) -> Listing
    wanted.wanted(listing) -> Wanted
    planning.plan(folder, listing, only=None) -> DownloadPlan
        `only`: paths, where some of the files are wanted; looks at the folder, changes nothing
    download.Download(plan, endpoint, *, connections=4, limit=0)
        .run(on_progress, cancel) -> Source
            `on_progress(DownloadProgress)` is called from the thread of `run`, ten times a second
            at most. Setting `cancel` pauses: what has come stays in `.part` files, and the next run
            over a plan of the same files goes on from there
        .limit: bytes a second over all connections, 0 for none; may be set while it runs.
            A `pace.Limit` may be given in place of a number: several downloads can share one
    download.discard(folder): removes what a paused download left
    verifying.verify(folder, on_progress, cancel) -> Verification
        `on_progress(bytes read, bytes in all)`
    source_file.read_source(folder) -> Source | None
"""

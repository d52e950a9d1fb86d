"""The command `rb`: the tools of an administrator, through the REST API alone.

Nothing of the product is used but the API's client (`rubackup.sdk`), how commands print, and how a pool is reconciled call by call.
"""

"""Where packs and manifests lie: one contract, one suite."""

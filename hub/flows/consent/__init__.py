"""The life of a consent: asked for, given, paused, ended, told; other bases; minors."""

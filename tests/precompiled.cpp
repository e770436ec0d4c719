// Nothing but a translation unit for the target that owns the tests' precompiled headers.

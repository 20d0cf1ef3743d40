"""What plugin authors and our own tests share: the conformance checks and the fakes. Imports no pytest."""

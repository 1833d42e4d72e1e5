"""One run is one folder, found again by its key: runs, the parameters that notebooks take, and published results."""

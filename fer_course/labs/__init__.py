"""The interactive labs, a folder each: Python, JavaScript, and a still picture where there is no kernel."""

"""What all parts of the API share. The modules are apart because the API framework imports some of them by name while it is itself being imported."""

//! What holds for every input, whatever it is: the body of the fuzz targets.

"""Union file systems behind one contract, the layers they stack and the disks the labs write to."""

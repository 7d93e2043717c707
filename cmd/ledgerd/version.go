package main

import "runtime/debug"

// version gives the version that the Go toolchain wrote into the program.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "(built from source)"
	}
	return info.Main.Version
}

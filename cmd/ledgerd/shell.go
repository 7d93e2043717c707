package main

import (
	"os"
	"path/filepath"
	"strings"
)

// programName is how the user can call this program again from the same shell.
func programName() string {
	path, err := os.Executable()
	if err != nil {
		return "ledgerd"
	}
	if strings.Contains(path, string(filepath.Separator)+"go-build") {
		return "go run ./cmd/ledgerd" // which deletes the program when it ends
	}
	if os.Args[0] == filepath.Base(path) {
		return os.Args[0] // found in PATH
	}
	return shellQuote(path)
}

// shellQuote writes s so that a POSIX shell reads it as one word.
func shellQuote(s string) string {
	safe := "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=@,+%"
	if s != "" && strings.Trim(s, safe) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

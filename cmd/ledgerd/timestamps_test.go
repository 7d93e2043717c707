package main

import (
	"os/exec"
	"testing"

	"github.com/consentledger/consentledger/internal/testauthority"
)

// authorityOfScripts starts a time-stamping authority for scripts, which find it and
// the certificate to pin in $TSA and $TSA_PEM, and beside it the certificate of a
// stranger in $OTHER_PEM. Nothing without openssl: such scripts skip themselves.
func authorityOfScripts(t *testing.T) (env []string) {
	if _, err := exec.LookPath("openssl"); err != nil {
		return nil
	}
	a, other := testauthority.New(t, testauthority.Options{}), testauthority.New(t, testauthority.Options{})
	return []string{"TSA=" + a.URL, "TSA_PEM=" + a.CAFile, "OTHER_PEM=" + other.CAFile}
}

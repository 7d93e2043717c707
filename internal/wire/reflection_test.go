package wire_test

import (
	"net/http"
	"slices"
	"testing"

	"connectrpc.com/grpcreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/consentledger/consentledger/internal/authn"
	"github.com/consentledger/consentledger/internal/wire"
)

// TestReflection asks for the services and one method, as grpcurl does: with a key of
// any role, and not without.
func TestReflection(t *testing.T) {
	t.Parallel()
	r := start(t)
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()
	client := grpcreflect.NewClient(&http.Client{Transport: transport}, r.url)
	for _, role := range everyRole {
		header := make(http.Header)
		if role != authn.Nobody {
			header.Set("Authorization", "Bearer "+r.keys[role])
		}
		stream := client.NewStream(t.Context(), grpcreflect.WithRequestHeaders(header))
		names, err := stream.ListServices()
		if role == authn.Nobody {
			if err == nil {
				t.Errorf("a stranger is told of %v", names)
			}
			stream.Close()
			continue
		}
		if err != nil {
			t.Fatalf("role %s: %v", role, err)
		}
		var got []string
		for _, n := range names {
			got = append(got, string(n))
		}
		want := []string{"consent.admin.v1.AdminService", "consent.app.v1.ConsentService", "consent.audit.v1.AuditService", "consent.evidence.v1.EvidenceService"}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("role %s: services are %v, want %v", role, got, want)
		}
		files, err := stream.FileContainingSymbol("consent.app.v1.ConsentService.CheckConsent")
		if err != nil || !slices.ContainsFunc(files, func(f *descriptorpb.FileDescriptorProto) bool { return f.GetPackage() == "consent.app.v1" }) {
			t.Errorf("role %s: %d files, %v", role, len(files), err)
		}
		if _, err := stream.Close(); err != nil {
			t.Errorf("role %s: ending: %v", role, err)
		}
	}
}

// TestPaths: all that is counted apart are the methods of the descriptors and the
// prefixes of their services.
func TestPaths(t *testing.T) {
	paths := wire.Paths()
	for procedure := range methods() {
		if !slices.Contains(paths, procedure) {
			t.Errorf("%s is missing", procedure)
		}
	}
	if want := len(rules) + 4; len(paths) != want {
		t.Errorf("%d paths, want %d", len(paths), want)
	}
}

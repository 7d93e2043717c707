// Package wire puts everything that the ledger answers over HTTP on one handler.
//
// Start with [Handler]. Keys are read in front of it, by internal/authn;
// what a role may call is the table of internal/server.
package wire

import (
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"connectrpc.com/connect"
	"connectrpc.com/grpcreflect"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/consentledger/consentledger/internal/api/admin"
	"github.com/consentledger/consentledger/internal/api/app"
	"github.com/consentledger/consentledger/internal/api/audit"
	"github.com/consentledger/consentledger/internal/api/evidence"
	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/internal/tlog"
	"github.com/consentledger/consentledger/ledger/store"
)

// Options say who helps the ledger, and what it says of itself. Logger is required.
type Options struct {
	// Witnesses cosign the log; auditors then see it as they have. nil for none.
	Witnesses *tlog.Collector
	// Stamper has the log and the proof bundles stamped; nil for nobody.
	Stamper *tlog.Stamper
	// Zone is where the controller is: bundles give every time in UTC and in it. nil is
	// UTC.
	Zone *time.Location
	// Version is that of the running program.
	Version string
	Logger  *slog.Logger
}

// tool names the program that makes bundles.
func (o *Options) tool() string { return "ledgerd " + o.Version }

// Handler serves the API's services, their descriptors by gRPC's reflection and, below
// /log/, the log as C2SP tiles.
func Handler(s *service.Service, o Options) http.Handler {
	mux := http.NewServeMux()
	mux.Handle(app.Handler(s, o.Logger))
	mux.Handle(admin.Handler(s, o.Witnesses, o.Stamper, o.Logger, o.Version))
	bundles := evidence.Bundles{Zone: o.Zone, Tool: o.tool()}
	if o.Stamper != nil {
		bundles.Token = o.Stamper.Token
	}
	mux.Handle(evidence.Handler(s, bundles, o.Logger))
	Log(mux, s.Log(), o)
	var names []string
	for _, service := range services() {
		names = append(names, string(service.FullName()))
	}
	reflector := grpcreflect.NewStaticReflector(names...)
	mux.Handle(grpcreflect.NewHandlerV1(reflector, connect.WithReadMaxBytes(maxReflectionBytes)))
	mux.Handle(grpcreflect.NewHandlerV1Alpha(reflector, connect.WithReadMaxBytes(maxReflectionBytes)))
	return quiet(mux)
}

// maxReflectionBytes is more than any name takes.
const maxReflectionBytes = 4 << 10

// services are those of the API, in the order of their names.
func services() []protoreflect.ServiceDescriptor {
	var list []protoreflect.ServiceDescriptor
	protoregistry.GlobalFiles.RangeFiles(func(f protoreflect.FileDescriptor) bool {
		for i := range f.Services().Len() {
			if strings.HasPrefix(string(f.Package()), "consent.") {
				list = append(list, f.Services().Get(i))
			}
		}
		return true
	})
	slices.SortFunc(list, func(a, b protoreflect.ServiceDescriptor) int {
		return strings.Compare(string(a.FullName()), string(b.FullName()))
	})
	return list
}

// Paths are those of all methods of the API, and the prefixes of its services.
func Paths() []string {
	var list []string
	for _, service := range services() {
		prefix := "/" + string(service.FullName()) + "/"
		list = append(list, prefix)
		for i := range service.Methods().Len() {
			list = append(list, prefix+string(service.Methods().Get(i).Name()))
		}
	}
	return list
}

// Log puts on the mux what auditors read: their service, whose path it gives, and
// the tiles.
func Log(mux *http.ServeMux, log *store.Store, o Options) (path string) {
	var seen interface {
		audit.Log
		tlog.Log
	} = log
	if o.Witnesses != nil {
		seen = o.Witnesses.Over(log)
	}
	path, auditor := audit.Handler(seen, log, audit.Bundles{Zone: o.Zone, Tool: o.tool()}, o.Logger)
	mux.Handle(path, auditor)
	mux.Handle(tlog.Prefix, tlog.New(seen, o.Logger))
	return path
}

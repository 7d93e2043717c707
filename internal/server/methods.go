package server

import (
	"strings"
	"time"
)

// work is what calls are to the server: each kind has places of its own, so that
// none takes those of another.
type work string

// The kinds of work.
const (
	workApp     work = "app"
	workAuditor work = "auditor"
	workLegal   work = "legal"
	workAdmin   work = "admin"
	workLog     work = "log"     // tiles, also to the public
	workListing work = "listing" // an auditor's large answers
	workExport  work = "export"  // proof bundles and access reports
	workStream  work = "stream"  // callers that send as long as they like
)

// The deadlines of calls. Callers may ask for less (Connect-Timeout-Ms,
// grpc-timeout), and internal/api gives most calls less by itself.
const (
	callDeadline   = time.Minute
	exportDeadline = 15 * time.Minute
	longDeadline   = time.Hour // what takes the longer the more people there are
	streamDeadline = 24 * time.Hour
)

// method is what is said of a method that is not like all others.
type method struct {
	work     work // "": that of its service
	deadline time.Duration
}

// methods is the table of them. A method with a stream, or of which the API says that
// it may take longer than others, must stand here.
var methods = map[string]method{
	appPrefix + "CheckConsents":  {workStream, streamDeadline},
	appPrefix + "ImportConsents": {workStream, streamDeadline},
	appPrefix + "EraseSubject":   {"", longDeadline},

	auditPrefix + "ListEntries":      {workListing, longDeadline},
	auditPrefix + "ExportRange":      {workListing, exportDeadline},
	auditPrefix + "GetRange":         {workListing, exportDeadline},
	auditPrefix + "BatchListEntries": {workListing, callDeadline},

	evidencePrefix + "ExportBundle":       {workExport, exportDeadline},
	evidencePrefix + "GetBundle":          {workExport, exportDeadline},
	evidencePrefix + "ExportAccessReport": {workExport, exportDeadline},
	evidencePrefix + "GetAccessReport":    {workExport, exportDeadline},
	evidencePrefix + "RectifySubject":     {"", longDeadline},
	evidencePrefix + "InvalidateConsents": {"", longDeadline},

	adminPrefix + "GetStatus":        {"", longDeadline},
	adminPrefix + "RevokeConsents":   {"", longDeadline},
	adminPrefix + "RunRetention":     {"", longDeadline},
	adminPrefix + "RekeyIndex":       {"", longDeadline},
	adminPrefix + "Backup":           {"", longDeadline},
	adminPrefix + "BackupKeys":       {"", longDeadline},
	adminPrefix + "RotateKey":        {"", longDeadline},
	adminPrefix + "AnchorCheckpoint": {"", longDeadline},

	reflectionPrefix + "ServerReflectionInfo":    {workStream, callDeadline},
	oldReflectionPrefix + "ServerReflectionInfo": {workStream, callDeadline},
}

// methodAt says what is known of a call; ok is false where nobody may call.
func methodAt(path string) (m method, ok bool) {
	for _, row := range access {
		if !strings.HasPrefix(path, row.prefix) {
			continue
		}
		if m, ok = methods[path]; !ok {
			m.deadline = callDeadline
		}
		if m.work == "" {
			m.work = row.work
		}
		return m, true
	}
	return method{}, false
}

// IsStream says whether at path a caller sends messages for as long as they like.
// A test compares it with the API's descriptors.
func IsStream(path string) bool { return methods[path].work == workStream }

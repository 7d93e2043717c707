package server

import (
	"strings"

	"github.com/consentledger/consentledger/internal/authn"
)

// Where everything is.
const (
	appPrefix      = "/consent.app.v1.ConsentService/"
	auditPrefix    = "/consent.audit.v1.AuditService/"
	adminPrefix    = "/consent.admin.v1.AdminService/"
	evidencePrefix = "/consent.evidence.v1.EvidenceService/"
	logPrefix      = "/log/" // the C2SP tiles

	reflectionPrefix    = "/grpc.reflection.v1.ServerReflection/"
	oldReflectionPrefix = "/grpc.reflection.v1alpha.ServerReflection/"
)

// anyone is whoever has a key that works: what everybody may know who may call at all.
const anyone authn.Role = "anyone"

// access is the one table of who may use which paths: a role sees only its
// service. A path that stands in no row is nobody's.
// Its calls have their places in work, if their method has no other.
var access = []struct {
	prefix string
	role   authn.Role
	work   work
}{
	{appPrefix, authn.App, workApp},
	{auditPrefix, authn.Auditor, workAuditor},
	{logPrefix, authn.Auditor, workLog},
	{adminPrefix, authn.Admin, workAdmin},
	{evidencePrefix, authn.Legal, workLegal},
	{reflectionPrefix, anyone, workStream},
	{oldReflectionPrefix, anyone, workStream},
}

// Allow says whether a role may use a path.
func Allow(role authn.Role, path string) bool {
	for _, row := range access {
		if strings.HasPrefix(path, row.prefix) {
			return row.role == role || row.role == anyone && role != authn.Nobody
		}
	}
	return false
}

// allowPublicLog is [Allow] where the log is declared public: whoever calls may
// read it, with whatever key or none.
func allowPublicLog(role authn.Role, path string) bool {
	return strings.HasPrefix(path, logPrefix) || Allow(role, path)
}

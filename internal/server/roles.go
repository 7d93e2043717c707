package server

import (
	"strings"

	"github.com/consentledger/consentledger/internal/authn"
)

// logPrefix is where the C2SP tiles are.
const logPrefix = "/log/"

// access is the one table of who may use which paths: a role sees only its
// service. A path that stands in no row is nobody's.
var access = []struct {
	prefix string
	role   authn.Role
}{
	{"/consent.app.v1.ConsentService/", authn.App},
	{"/consent.audit.v1.AuditService/", authn.Auditor},
	{logPrefix, authn.Auditor},
	{"/consent.admin.v1.AdminService/", authn.Admin},
	{"/consent.evidence.v1.EvidenceService/", authn.Legal},
}

// Allow says whether a role may use a path.
func Allow(role authn.Role, path string) bool {
	for _, row := range access {
		if strings.HasPrefix(path, row.prefix) {
			return row.role == role
		}
	}
	return false
}

// allowPublicLog is [Allow] where the log is declared public: whoever calls may
// read it, with whatever key or none.
func allowPublicLog(role authn.Role, path string) bool {
	return strings.HasPrefix(path, logPrefix) || Allow(role, path)
}

// IsStream says whether at path a caller sends messages for as long as they like.
// A test compares it with the API's descriptors.
func IsStream(path string) bool {
	switch path {
	case "/consent.app.v1.ConsentService/ImportConsents", "/consent.app.v1.ConsentService/CheckConsents":
		return true
	}
	return false
}

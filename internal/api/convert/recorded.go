package convert

import (
	"github.com/consentledger/consentledger/internal/service"
	appv1 "github.com/consentledger/consentledger/proto/consent/app/v1"
)

// Attachments gives the files that a message brings, in the same order.
func Attachments(list []*appv1.Attachment) []service.Attachment {
	var files []service.Attachment
	for _, a := range list {
		files = append(files, service.Attachment{Claim: a.GetName(), FileName: a.GetFileName(), MediaType: a.GetMediaType(), Bytes: a.GetBytes()})
	}
	return files
}

// Irregular shows what should not have happened and did, in the same order.
func Irregular(list []service.Irregular) []*appv1.Irregularity {
	shown := make([]*appv1.Irregularity, len(list))
	for i, irr := range list {
		shown[i] = &appv1.Irregularity{ConsentId: int64(irr.Consent), Name: irr.Name, State: irr.State}
	}
	return shown
}

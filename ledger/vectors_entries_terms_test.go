package ledger

// The good entries of the kinds that have more than the first of their kind in
// the story: the first of them that has a line.
const (
	definedTerms   Kind = PurposeDefined + "/minimum_grade"
	definedMode    Kind = PurposeDefined + "/tracking_mode"
	definedBases   Kind = PurposeDefined + "/basis"
	publishedFacts Kind = NoticePublished + "/checkbox"
	requestedAge   Kind = ConsentRequested + "/age"
	sentMail       Kind = ConfirmationSent + "/mail"
	clickedButton  Kind = ConsentConfirmed + "/click"
)

// entryVariants are these entries.
var entryVariants = []Kind{definedTerms, definedMode, definedBases, publishedFacts, requestedAge, sentMail, clickedButton,
	definedEffect, usedProcessor, objectedArticle}

const aHash = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="

// badTerms are bad in the lines of terms, grades, other grounds and resends.
var badTerms = []badEntry{
	{"validity-days-0", definedTerms, "validity_days 730", "validity_days 0", "line 14: validity_days: want at least 1", "days count from 1"},
	{"validity-days-before-measure", definedTerms, "unused_measure block\nvalidity_days 730\n", "validity_days 730\nunused_measure block\n", "line 14: unexpected line", "the lines are in another order"},
	{"warn-days-19-digits", definedTerms, "unused_warn_days 300", "unused_warn_days 1000000000000000000", "line 15: unused_warn_days: want a decimal number", "a number has at most 18 digits"},
	{"minimum-grade-lower-case", definedTerms, "minimum_grade B", "minimum_grade b", "line 16: minimum_grade: not a grade", "grades are upper case"},
	{"minimum-grade-f", definedTerms, "minimum_grade B", "minimum_grade F", "line 16: minimum_grade: not a grade", "not a word of the vocabulary"},
	{"minimum-grade-two", definedTerms, "minimum_grade B", "minimum_grade BB", "line 16: minimum_grade: not a grade", "not a word of the vocabulary"},
	{"minimum-grade-empty", definedTerms, "minimum_grade B", "minimum_grade ", "line 16: minimum_grade: not a grade", "no grade has no line"},
	{"minimum-age-0", definedTerms, "minimum_age 16", "minimum_age 0", "line 17: minimum_age: want at least 1", "no age has no line"},
	{"explicit-no", definedTerms, "explicit yes", "explicit no", "line 18: explicit: want yes, or no line", "one spelling of not so"},
	{"parent-twice", definedTerms, "parent offers\n", "parent offers\nparent newsletter\n", "line 20: unexpected line", "a purpose has one parent"},
	{"parent-empty", definedTerms, "parent offers", "parent ", "line 19: parent: not an identifier", "no parent has no line"},
	{"basis-unknown", definedTerms, "basis consent", "basis interest", "line 20: basis: not a basis", "not a word of the vocabulary"},
	{"basis-not-ascending", definedBases, "basis consent\nbasis existing_customer\n", "basis existing_customer\nbasis consent\n", "line 14: basis: not ascending", "the lines are ascending"},
	{"basis-twice", definedBases, "basis consent\n", "basis consent\nbasis consent\n", "line 14: basis: not ascending", "the lines are strictly ascending"},
	{"bases-before-ip-policy", definedBases, "ip_policy full\nbasis consent\n", "basis consent\nip_policy full\n", "line 13: unexpected line", "the lines are in another order"},
	{"ip-policy-of-purpose-unknown", definedBases, "ip_policy full", "ip_policy hashed", "line 12: ip_policy: not a policy", "not a word of the vocabulary"},
	{"tracking-mode-unknown", definedMode, "tracking_mode anonymous", "tracking_mode off", "line 12: tracking_mode: not a mode of tracking", "not a word of the vocabulary"},
	{"unused-measure-lock", definedTerms, "unused_measure block", "unused_measure lock", "line 13: unused_measure: want warn, block or expire", "not a word of the vocabulary"},

	{"use-unknown", publishedFacts, "use wording", "use template", "line 13: use: not a use of a notice", "not a word of the vocabulary"},
	{"use-after-checkbox", publishedFacts, "use wording\ncheckbox unticked\n", "checkbox unticked\nuse wording\n", "line 14: unexpected line", "the lines are in another order"},
	{"checkbox-ticked", publishedFacts, "checkbox unticked", "checkbox ticked", "line 14: checkbox: want unticked or none", "a ticked box is no consent"},
	{"conditional-on-newsletter", publishedFacts, "conditional_on service", "conditional_on newsletter", "line 15: conditional_on: want none or service", "not a word of the vocabulary"},
	{"facts-zero", publishedFacts, "facts *\n", "facts " + zeroHash + "\n", "line 16: facts: zeros are no hash", "no facts have no line"},
	{"facts-hex", publishedFacts, "facts *\n", "facts 00\n", "line 16: facts: want 44 characters", "hashes are base64"},
	{"facts-unused-bits", publishedFacts, "facts *\n", "facts " + aHash[:42] + "V=\n", "line 16: facts: want 32 bytes", "the unused bits of the last character are zero"},
	{"facts-twice", publishedFacts, "facts *\n", "facts " + aHash + "\nfacts " + aHash + "\n", "line 17: unexpected line", "a notice has one document"},
	{"covers-after-use", publishedFacts, "use wording\n", "use wording\ncovers survey\n", "line 14: unexpected line", "the lines are in another order"},

	{"lock-zero", ConsentRequested, "lock *\n", "lock " + zeroHash + "\n", "line 12: lock: zeros are no hash", "no token has this lock"},
	{"expired-lock-zero", RequestExpired, "lock *\n", "lock " + zeroHash + "\n", "line 8: lock: zeros are no hash", "no token has this lock"},
	{"requested-explicit-no", requestedAge, "explicit yes", "explicit no", "line 15: explicit: want yes, or no line", "one spelling of not so"},
	{"age-number", requestedAge, "age old_enough", "age 17", "line 16: age: want old_enough or child", "nobody's age stands in the log"},
	{"age-before-explicit", requestedAge, "explicit yes\nage old_enough\n", "age old_enough\nexplicit yes\n", "line 16: want a commit", "the lines are in another order"},
	{"requested-with-grade", requestedAge, "age old_enough\n", "age old_enough\ngrade C\n", "line 17: want a commit", "only imports say their grade"},
	{"requested-with-basis", requestedAge, "explicit yes\n", "basis consent\nexplicit yes\n", "line 15: want a commit", "a request rests on consent"},

	{"given-without-notice", ConsentGiven, "notice *\n", "", `line 9: want a line "notice"`, "consent is given under words"},
	{"given-without-method", ConsentGiven, "method paper\n", "", `line 10: want a line "method"`, "the line is missing"},
	{"given-with-lock", ConsentGiven, "method paper\n", "method paper\nlock " + aHash + "\n", `line 11: want a line "ip_policy"`, "there is nothing to confirm"},
	{"given-nobody", ConsentGiven, "commit phone *\n", "", "line 16: want a commit to email, phone or external_id", "an opening entry commits to an identifier of the person"},
	{"given-with-consent", ConsentGiven, "purpose health\n", "consent 7 after 7\npurpose health\n", "line 7: consent: this kind changes no consent", "giving opens a record"},
	{"refused-with-age", ConsentRefused, "ip_policy none\n", "ip_policy none\nage child\n", "line 11: want a commit", "nobody needs an age to refuse"},
	{"refused-without-ip-policy", ConsentRefused, "ip_policy none\n", "", `line 10: want a line "ip_policy"`, "the line is missing"},
	{"imported-grade-a", ConsentImported, "grade D", "grade A", "line 11: grade: want C, D or E", "what others recorded proves no more than C"},
	{"imported-without-grade", ConsentImported, "grade D\n", "", `line 11: want a line "grade"`, "the line is missing"},
	{"imported-explicit-before-grade", ConsentImported, "grade D\n", "explicit yes\ngrade D\n", `line 11: want a line "grade"`, "the lines are in another order"},
	{"asserted-consent", BasisAsserted, "basis existing_customer", "basis consent", "line 10: basis: not a basis besides consent", "nobody but the person asserts consent"},
	{"asserted-nothing", BasisAsserted, "basis existing_customer\n", "", `line 10: want a line "basis"`, "the line is missing"},
	{"asserted-two-bases", BasisAsserted, "basis existing_customer\n", "basis existing_customer\nbasis contract\n", `line 11: want a line "ip_policy"`, "a record rests on one basis"},
	{"condition-unknown", BasisAsserted, "condition no_objection", "condition objection", "line 12: condition: not a condition", "not a word of the vocabulary"},
	{"conditions-not-ascending", BasisAsserted, "condition address_from_sale\ncondition no_objection\n", "condition no_objection\ncondition address_from_sale\n", "line 12: condition: not ascending", "the lines are ascending"},
	{"asserted-with-method", BasisAsserted, "basis existing_customer\n", "method api\nbasis existing_customer\n", `line 10: want a line "basis"`, "an assertion has no method"},

	{"mail-unknown", sentMail, "mail kept", "mail lost", "line 8: mail: want kept, or no line", "not a word of the vocabulary"},
	{"mail-before-notice", sentMail, "mail kept\n", "mail kept\nnotice mail-de@1 " + aHash + "\n", "line 9: unexpected line", "the lines are in another order"},
	{"resent-lock-alone", ConfirmationResent, "expires *\n", "", `line 9: want a line "expires"`, "a lock has an end"},
	{"resent-without-former", ConfirmationResent, "former *\n", "", `line 10: want a line "former"`, "a new lock succeeds another"},
	{"resent-former-alone", ConfirmationResent, "lock *\n", "", "line 8: unexpected line", "what succeeds nothing has no former"},
	{"resent-lock-zero", ConfirmationResent, "lock *\n", "lock " + zeroHash + "\n", "line 8: lock: zeros are no hash", "no token has this lock"},
	{"resent-former-zero", ConfirmationResent, "former *\n", "former " + zeroHash + "\n", "line 10: former: zeros are no hash", "no request has this lock"},
	{"resent-former-unused-bits", ConfirmationResent, "former *\n", "former " + aHash[:42] + "V=\n", "line 10: former: want 32 bytes", "the unused bits of the last character are zero"},
	{"resent-with-consent", ConfirmationResent, "about 60\n", "consent 60 after 60\n", "line 7: consent: this kind changes no consent", "the kind mentions"},
	{"resent-with-token", ConfirmationResent, "former *\n", "former " + aHash + "\ntoken " + zeroHash[:43] + "\n", "line 11: unexpected line", "only confirmed and rejected reveal a token"},
	{"failure-unknown", ConfirmationFailed, "failure permanent", "failure bounced", "line 8: failure: want permanent or temporary", "not a word of the vocabulary"},
	{"failure-missing", ConfirmationFailed, "failure permanent\n", "", `line 8: want a line "failure"`, "the line is missing"},
	{"opened-with-click", ConfirmationOpened, "about 60\n", "about 60\nclick link\n", "line 8: unexpected line", "opening is not clicking"},
	{"attached-with-occurred", ConfirmationAttached, "about 60\n", "about 60\noccurred 2028-11-21T22:37:07Z\n", "line 8: occurred: confirmation.attached has no such line", "it happens when it is handed in"},
	{"click-unknown", clickedButton, "click button", "click post", "line 9: click: not a way of clicking", "not a word of the vocabulary"},
	{"click-before-token", clickedButton, "token *\n", "click button\ntoken " + zeroHash[:43] + "\n", `line 8: want a line "token"`, "the lines are in another order"},
	{"rejected-with-click", ConfirmationRejected, "token *\n", "token " + zeroHash[:43] + "\nclick button\n", "line 9: unexpected line", "who says no needs no button"},

	{"renewed-without-method", ConsentRenewed, "method preference_centre\n", "", `line 9: want a line "method"`, "the line is missing"},
	{"renewed-without-ip-policy", ConsentRenewed, "ip_policy truncated\n", "", `line 10: want a line "ip_policy"`, "the line is missing"},
	{"renewed-with-about", ConsentRenewed, "consent 70 after 70\n", "about 70\n", "line 7: about: this kind mentions no consent", "a renewal changes the consent"},
	{"invalidated-without-cause", ConsentInvalidated, "cause scanner\n", "", `line 8: want a line "cause"`, "the line is missing"},
	{"invalidated-because", ConsentInvalidated, "cause scanner", "cause because", "line 8: cause: not a cause", "not a word of the vocabulary"},
	{"tracking-off", TrackingChanged, "mode none", "mode off", "line 9: mode: not a mode of tracking", "not a word of the vocabulary"},
	{"tracking-without-mode", TrackingChanged, "mode none\n", "", `line 9: want a line "mode"`, "the line is missing"},
	{"tracking-without-purpose", TrackingChanged, "purpose email.open_tracking\n", "", `line 8: want a line "purpose"`, "the line is missing"},
	{"tracking-of-nobody", TrackingChanged, "about 74\n", "", `line 7: want a line "about"`, "the kind mentions at least one consent"},
	{"disclosed-with-reason", EvidenceDisclosed, "about 69\n", "about 69\nreason art17\n", `line 8: want a line "occasion"`, "why is told to the vault"},
	{"disclosed-with-occurred", EvidenceDisclosed, "about 69\n", "about 69\noccurred 2028-11-21T22:37:07Z\n", "line 8: occurred: evidence.disclosed has no such line", "it happens when it is recorded"},
}

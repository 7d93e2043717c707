package wire_test

import (
	"maps"
	"slices"
	"testing"
)

// TestRegistryShowsEverything defines a purpose and notices with all there is to say
// about them: it comes back as it was said, by every way to the port.
func TestRegistryShowsEverything(t *testing.T) {
	t.Parallel()
	r := start(t)
	for name, call := range callers(t, r) {
		t.Run(name, func(t *testing.T) {
			s := &story{t, r, call}
			s.do("AdminService/DefinePurpose", object{"id": "letters", "title": "Briefe", "marketing": true})
			s.purposes()
			s.notices()
		})
	}
}

// purposes defines two purposes that together say everything.
func (s *story) purposes() {
	for _, purpose := range []object{
		{"id": "all", "title": "Alles", "marketing": true, "double_opt_in": true, "double_opt_in_channels": []any{"email", "fax"},
			"token_lifetime": "60s", "lock_days": "1", "lapsed_days": "2", "unused_days": "30", "unused_measure": "block", "unused_warn_days": "20",
			"evidence_days": "4", "validity_days": "5", "minimum_grade": "C", "minimum_age": "16", "explicit": false, "ip_policy": "full",
			"parent": "letters", "bases": []any{"consent", "existing_customer", "legitimate_interest"}, "tracking_mode": "",
			"effect_hours": "240", "balancing_sha256": base64Sum(weighing)},
		{"id": "web.tracking", "title": "Messung", "marketing": false, "double_opt_in": false, "double_opt_in_channels": []any{},
			"token_lifetime": "61s", "lock_days": "5", "lapsed_days": "6", "unused_days": "0", "unused_measure": "", "unused_warn_days": "0",
			"evidence_days": "0", "validity_days": "0", "minimum_grade": "", "minimum_age": "0", "explicit": true, "ip_policy": "none",
			"parent": "", "bases": []any{"consent"}, "tracking_mode": "pseudonymous", "effect_hours": "0", "balancing_sha256": ""},
	} {
		req := maps.Clone(purpose)
		for name, value := range purpose {
			if value == "0" { // which is not said
				delete(req, name)
			}
		}
		delete(req, "balancing_sha256")
		if purpose["balancing_sha256"] != "" {
			req["balancing"] = weighed
		}
		shown := s.do("AdminService/DefinePurpose", req)["purpose"].(object)
		s.shows(shown, purpose)
		list := s.do("AdminService/ListPurposes", object{})["purposes"].([]any)
		listed := slices.IndexFunc(list, func(p any) bool { return p.(object)["id"] == purpose["id"] })
		s.same("in the list", list[listed], any(shown))
	}
}

// notices publishes two notices that together say everything.
func (s *story) notices() {
	for _, notice := range []object{
		{"id": "all-de", "language": "de-AT", "text": "Alles.", "purposes": []any{"all", "web.tracking"}, "use": "privacy",
			"checkbox_default": "none", "conditional_on": "service", "facts": object{
				"controller": "a", "contact": "b", "authority": "c", "retention": "d", "rights": "e", "refusal": "f", "automated_decisions": "g",
				"contents": "h", "frequency": "i", "justification": "j", "recipients": []any{"k", "l"}, "third_countries": []any{"m"},
				"companies": []any{"n"}, "products": []any{"o", "p"}}},
		{"id": "mail-de", "language": "deu", "text": "Nichts.", "purposes": []any{"all"}, "use": "mail", "checkbox_default": "", "conditional_on": "",
			"facts": object{"controller": "", "contact": "", "authority": "", "retention": "", "rights": "", "refusal": "", "automated_decisions": "",
				"contents": "", "frequency": "", "justification": "", "recipients": []any{}, "third_countries": []any{}, "companies": []any{},
				"products": []any{}, "advertising_free": false}},
	} {
		published := s.do("AdminService/PublishNotice", notice)
		s.same("missing", published["missing"], any([]any{}))
		s.same("findings", published["findings"], any([]any{map[any]string{"privacy": "tied", "mail": "advertising"}[notice["use"]]}))
		list := s.do("AdminService/ListNotices", object{})["notices"].([]any)
		listed := list[slices.IndexFunc(list, func(n any) bool { return n.(object)["notice"] == published["notice"] })].(object)
		want := maps.Clone(notice)
		for _, said := range []string{"id", "text"} { // which a list does not show
			delete(want, said)
		}
		s.shows(listed, want)
		for _, field := range []string{"sha256", "missing", "findings"} {
			s.same(field, listed[field], published[field])
		}
	}
}

// shows compares the members of an answer with what was said.
func (s *story) shows(answer, said object) {
	s.t.Helper()
	for name, value := range said {
		s.same(name, answer[name], value)
	}
}

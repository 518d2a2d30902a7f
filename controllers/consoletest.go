package controllers

import (
	"errors"
	"strconv"

	"github.com/minidoor/minidoor/provider"
)

// testResult is what a test of a provider has found. Key names the texts that say it.
type testResult struct {
	OK        bool
	Key       string
	Steps     []string // what to do, one after the other
	Address   string   // to add to the allow list; empty: none
	Code      int      // WeChat's; 0: none
	RequestID string   // WeChat's; may be empty
}

// testProvider is POST /console/providers/test: an access token is asked for with the provider's settings.
func (v *visit) testProvider() error {
	in, err := v.form()
	if err != nil {
		return err
	}
	owner, name := idOf(in)
	if _, err := v.provider(owner, name); err != nil {
		return err
	}
	err = v.Deps.Console.TestProvider(v.r.Context(), v.caller, owner, name)
	failure, failed := errors.AsType[*provider.Error](err)
	if err != nil && !failed {
		return err
	}
	if failed {
		v.Deps.Logger.InfoContext(v.r.Context(), "provider tested", "provider", name, "cause", failure.Error())
	}
	return v.showProvider(in, v.resultOf(failure))
}

// resultOf says in the visitor's words what a failure means; nil is a success.
func (v *visit) resultOf(e *provider.Error) *testResult {
	if e == nil {
		return &testResult{OK: true, Key: "ok"}
	}
	found := &testResult{Key: faultKey(e), Address: e.Address, Code: e.Code, RequestID: e.RequestID}
	if found.Key == "address" && e.Address == "" {
		found.Key = "someAddress"
	}
	for i := 1; v.words.has("test." + found.Key + ".step" + strconv.Itoa(i)); i++ {
		found.Steps = append(found.Steps, v.words.text("test."+found.Key+".step"+strconv.Itoa(i)))
	}
	return found
}

// faultKey names the texts of a failure.
func faultKey(e *provider.Error) string {
	switch e.Fault {
	case provider.FaultAppID, provider.FaultAppSecret, provider.FaultFrozenSecret, provider.FaultAddress,
		provider.FaultAddressPending, provider.FaultAddressRefused, provider.FaultTokensForbidden,
		provider.FaultFrozenAccount, provider.FaultNotAllowed:
		return string(e.Fault)
	}
	switch {
	case e.Kind == provider.KindThrottled:
		return "throttled"
	case e.Code == 0:
		return "unreachable"
	}
	return "unknown"
}

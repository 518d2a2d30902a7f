package provider

// Fault names the setting behind an Error of KindMisconfigured, for those who tell the admin in words of their own.
type Fault string

// The faults that are known. There are others, for which the Hint alone speaks.
const (
	FaultAppID           Fault = "app_id"            // no mini program has this AppID
	FaultAppSecret       Fault = "app_secret"        // another one is the AppSecret
	FaultFrozenSecret    Fault = "frozen_secret"     // the AppSecret was frozen by its owner
	FaultAddress         Fault = "address"           // the allow list lacks Error.Address
	FaultAddressPending  Fault = "address_pending"   // an admin of the mini program has to confirm the address
	FaultAddressRefused  Fault = "address_refused"   // an admin of the mini program has refused the address
	FaultTokensForbidden Fault = "tokens_forbidden"  // the platform keeps the mini program from access tokens
	FaultFrozenAccount   Fault = "frozen_account"    // the platform has frozen the mini program's account
	FaultNotAllowed      Fault = "api_not_permitted" // the mini program may not use this API
)

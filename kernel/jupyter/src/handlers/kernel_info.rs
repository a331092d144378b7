//! [`kernel_info_request`](https://jupyter-client.readthedocs.io/en/stable/messaging.html#kernel-info).

use jupyter_protocol::JupyterMessage;
use serde_json::json;

use crate::language::{KernelInfo, Language, LanguageInfo};
use crate::wire::outgoing::{PROTOCOL_VERSION, untyped_reply};

/// The reply. It is untyped because `jupyter-protocol` lacks `supported_features`, which protocol
/// 5.5 introduced.
pub(crate) fn kernel_info<L: Language>(request: &JupyterMessage) -> JupyterMessage {
    let KernelInfo {
        implementation,
        implementation_version,
        banner,
        language_info,
    } = L::kernel_info();
    let LanguageInfo {
        name,
        version,
        mimetype,
        file_extension,
        pygments_lexer,
        codemirror_mode,
    } = language_info;
    untyped_reply(
        request,
        json!({
            "status": "ok",
            "protocol_version": PROTOCOL_VERSION,
            "implementation": implementation,
            "implementation_version": implementation_version,
            "language_info": {
                "name": name,
                "version": version,
                "mimetype": mimetype,
                "file_extension": file_extension,
                "pygments_lexer": pygments_lexer,
                "codemirror_mode": codemirror_mode,
                "nbconvert_exporter": "script",
            },
            "banner": banner,
            "debugger": false,
            "help_links": [],
            "supported_features": [],
        }),
    )
}

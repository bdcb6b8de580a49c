;;; lacuna-lsp-mode.el --- Lacuna in lsp-mode: ghost text beside a language's own server  -*- lexical-binding: t; -*-

;; SPDX-License-Identifier: Apache-2.0
;; Package-Requires: ((emacs "29.1") (lsp-mode "10.0.0"))

;;; Commentary:

;; Starts `lacuna lsp' as an add-on: whatever server a language has stays and runs beside it.

;;; Code:

(require 'lsp-mode)
(require 'lsp-inline-completion)

(defgroup lacuna nil "Proposals of a text-diffusion model." :group 'lsp-mode)

(defcustom lacuna-command '("lacuna" "lsp")
  "What starts the server."
  :type '(repeat string))

(defcustom lacuna-languages '("rust" "python")
  "The languages it is asked for, by their names in the protocol."
  :type '(repeat string))

(defcustom lacuna-settings '(:completion "off")
  "Settings as `lacuna lsp --schema' lists them.
The default keeps proposals, shown as ghost text, out of the completion menu."
  :type 'plist)

;; Beside lsp-mode's C-<return>, which few terminals can send.
(keymap-set lsp-inline-completion-active-map "M-RET" #'lsp-inline-completion-accept)

;; Seconds without a key before ghost text is asked for; lsp-mode's own 2 are for servers far away.
(setq lsp-inline-completion-idle-delay 0.2)

(lsp-register-client
 (make-lsp-client
  :server-id 'lacuna
  :add-on? t
  :multi-root t
  :new-connection (lsp-stdio-connection (lambda () lacuna-command))
  :activation-fn (lambda (_file _mode) (member (lsp-buffer-language) lacuna-languages))
  :initialization-options (lambda () lacuna-settings)
  :notification-handlers (ht ("lacuna/status" #'ignore) ("lacuna/frame" #'ignore))))

(defun lacuna-toggle ()
  "Switch Lacuna off or on again for this session; off, no inference runs."
  (interactive)
  (with-lsp-workspace (lsp-find-workspace 'lacuna nil)
    (let ((answer (lsp-request "workspace/executeCommand" '(:command "lacuna.toggle"))))
      (message "Lacuna is %s" (if (lsp-get answer :enabled) "on" "off")))))

(provide 'lacuna-lsp-mode)
;;; lacuna-lsp-mode.el ends here

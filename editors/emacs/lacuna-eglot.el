;;; lacuna-eglot.el --- Lacuna in Eglot: proposals in the completion menu, code actions  -*- lexical-binding: t; -*-

;; SPDX-License-Identifier: Apache-2.0
;; Package-Requires: ((emacs "29.1"))

;;; Commentary:

;; Eglot has one server a buffer.  So a program called rass (pip install rassumfrassum) starts a language's own server and
;; Lacuna and looks like one server; where there is no rass, or no such server, Lacuna serves alone.

;;; Code:

(require 'eglot)
(require 'seq)

(defgroup lacuna nil "Proposals of a text-diffusion model." :group 'eglot)

(defcustom lacuna-command '("lacuna" "lsp")
  "What starts the server."
  :type '(repeat string))

(defcustom lacuna-beside
  '(((rust-mode rust-ts-mode) "rust-analyzer")
    ((python-mode python-ts-mode) "pylsp"))
  "Modes to serve, each group with the program and arguments of the server to keep."
  :type '(repeat (cons (repeat symbol) (repeat string))))

(defun lacuna--contact (own)
  "What starts Lacuna beside the server that OWN starts."
  (if (seq-every-p #'executable-find (list "rass" (car own)))
      `("rass" "--" ,@own "--" ,@lacuna-command)
    lacuna-command))

(dolist (group lacuna-beside)
  (add-to-list 'eglot-server-programs
               (cons (car group) (lambda (&rest _) (lacuna--contact (cdr group))))))

;; `eglot-code-actions' asks for the expression at point where nothing is selected; these ask at point itself.
(defun lacuna--action (name)
  "Run the code action NAME on the region, else at point."
  (let ((kind (concat "refactor.rewrite.lacuna." name)))
    (if (use-region-p)
        (eglot-code-actions (region-beginning) (region-end) kind t)
      (eglot-code-actions (point) (point) kind t))))

(defun lacuna-fill ()
  "Fill the marker or the hole at point, or replace the region."
  (interactive)
  (lacuna--action "fill"))

(defun lacuna-refine ()
  "Let the model correct the region."
  (interactive)
  (lacuna--action "refine"))

(provide 'lacuna-eglot)
;;; lacuna-eglot.el ends here
